{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.provider.lockFile = mkOption {
    type = types.path;
    defaultText = lib.literalMD "`flake.lock` of the flake";
    example = lib.literalExpression "./flake.lock";
    description = ''
      The provider's flake.lock, where the inventory finds what customers'
      projects come from. The folder that it lies in is where `nodes`, `secrets`
      and `generated` are looked for. Only a flake-parts flake below the root
      of its repository needs to say it, and only for Nix before 2.14.
    '';
  };
}
