# Secrets by sops: the node decrypts the provider's file with its own ssh key.
{ config, lib, options, ... }:
let
  inherit (lib) mkDefault mkOption types;
  cfg = config.hostenv.secrets;

  # The file where it was named. Without its string context, which is all of the
  # provider's repository where the file is named as a part of that.
  original = lib.head options.hostenv.secrets.file.definitions;
  plain = builtins.unsafeDiscardStringContext (toString original);

  there = cfg.file != null && builtins.pathExists cfg.file;
  # JSON is refused in backups.nix, where secrets are needed.
  isJSON = cfg.file != null && lib.hasSuffix ".json" (toString cfg.file);
in
{
  options.hostenv.secrets = {
    file = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = lib.literalExpression "./secrets/secrets.yaml";
      description = ''
        The sops file, in YAML, that the node's secrets come from; it must be encrypted for the node's ssh host key
        too. `provider.secretsPath` sets it. The node gets a copy of this file alone, whatever it lies in.
      '';
      # What has the path itself changes with every commit of the provider's
      # repository, and brings all of that to the node, for every user to read.
      apply = file:
        if file == null then null
        else if ! builtins.pathExists file then plain
        else builtins.path { path = file; name = lib.strings.sanitizeDerivationName (baseNameOf plain); };
    };
    keys = mkOption {
      type = types.listOf types.singleLineStr;
      default =
        if there && ! isJSON then import ../lib/sops-keys.nix cfg.name (builtins.readFile cfg.file)
        else [ ];
      defaultText = lib.literalMD "the names of the keys in the file, which sops leaves in the clear";
      example = [ "acme/backups_secret" "acme/backups_env" ];
      description = ''
        The keys in the sops file, two levels joined by a slash. Set it if the file is written in a way that the names
        cannot be read from, or is not there when the node is evaluated.
      '';
    };
    name = mkOption {
      type = types.str;
      internal = true;
      readOnly = true;
      default =
        let inStore = builtins.match "${builtins.storeDir}/[^/]+/(.+)" plain; in
        if inStore == null then plain else lib.head inStore;
      defaultText = lib.literalMD "the file's path within the provider's flake";
      example = "secrets/secrets.yaml";
      description = "How errors call the sops file.";
    };
  };

  # Without sops-nix there are no such options, and backups.nix says so if a
  # secret is needed.
  config = lib.optionalAttrs (options ? sops) {
    sops = {
      age.sshKeyPaths = mkDefault [ "/etc/ssh/ssh_host_ed25519_key" ];
      # One kind of key to know: what is encrypted for a node names it as age does.
      gnupg.sshKeyPaths = mkDefault [ ];
      defaultSopsFile = lib.mkIf there (mkDefault cfg.file);
      defaultSopsFormat = mkDefault "yaml";
    };
  };
}
