{ lib, mkOption, types, ... }:
mkOption {
  type = types.nullOr (types.functionTo types.raw);
  defaultText = lib.literalExpression "system: inputs.nixpkgs.legacyPackages.\${system}";
  example = lib.literalExpression "system: withSystem system ({ pkgs, ... }: pkgs)";
  description = "nixpkgs for a platform, from which the command line tool and the activation scripts are made.";
}
