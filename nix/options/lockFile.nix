{ lib, mkOption, types, ... }:
mkOption {
  type = types.path;
  defaultText = lib.literalMD "`flake.lock` of the flake";
  example = lib.literalExpression "./flake.lock";
  description = ''
    The provider's flake.lock, which holds the sources of the customers'
    projects. `nodes`, `secrets` and `generated` are in the same folder by
    default. You need to set it only in a flake-parts flake below the root of
    its repository, and only for Nix before 2.14.
  '';
}
