{ mkOption, types, defaults, ... }:
mkOption {
  type = types.listOf types.singleLineStr;
  default = defaults.plain.deployPublicKeys;
  example = [ "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA... deploy@hosting.example" ];
  description = ''
    SSH public keys that may log in as the deploy user of every node. No
    environment's user has them.
  '';
}
