{ lib, mkOption, types, ... }:
mkOption {
  type = types.nullOr types.path;
  defaultText = lib.literalMD "`secrets/secrets.yaml` beside flake.nix";
  example = lib.literalExpression "./secrets/production.yaml";
  description = ''
    The file of the provider's secrets, encrypted by sops, which the nodes
    decrypt with their ssh host keys. It need not exist before a node needs a
    secret. `null` for none.
  '';
}
