{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.provider.nixosSystem = mkOption {
    type = types.nullOr (types.functionTo types.raw);
    defaultText = lib.literalExpression "inputs.nixpkgs.lib.nixosSystem";
    description = ''
      What makes a NixOS system of modules. It is called with `modules` and
      `specialArgs`, which are the flake's `inputs` and `self`.
    '';
  };
}
