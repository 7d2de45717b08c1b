{ lib, mkOption, types, ... }:
mkOption {
  type = types.nullOr (types.functionTo types.raw);
  defaultText = lib.literalExpression "inputs.nixpkgs.lib.nixosSystem";
  description = ''
    The function that makes a NixOS system. Its arguments are `modules` and
    `specialArgs`; the latter holds the flake's `inputs` and `self`.
  '';
}
