{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.provider.secretsPath = mkOption {
    type = types.path;
    defaultText = lib.literalMD "`secrets/secrets.yaml` beside flake.nix";
    example = lib.literalExpression "./secrets/production.yaml";
    description = "The file with the provider's secrets, encrypted by sops. The nodes decrypt it with their ssh host keys.";
  };
}
