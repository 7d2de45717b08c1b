{ lib, mkOption, types, ... }:
mkOption {
  type = types.nullOr types.path;
  defaultText = lib.literalMD "`nodes` beside flake.nix";
  example = lib.literalExpression "./machines";
  description = ''
    The folder of the nodes' own NixOS modules, `<node>/configuration.nix`.
    `null` if `provider.nodeModules` holds all that a machine needs.
  '';
}
