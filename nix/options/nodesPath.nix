{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.provider.nodesPath = mkOption {
    type = types.path;
    defaultText = lib.literalMD "`nodes` beside flake.nix";
    example = lib.literalExpression "./machines";
    description = ''
      The folder of the nodes' own NixOS modules: `<node>/configuration.nix` is
      part of the node's system, where there is one.
    '';
  };
}
