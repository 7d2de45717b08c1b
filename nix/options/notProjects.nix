{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.provider.notProjects = mkOption {
    type = types.listOf types.str;
    default = (import ../lib/provider-defaults.nix).plain.notProjects;
    example = [ "vendor__lib" ];
    description = ''
      Inputs that are not projects of customers, although their names hold `__`.
      Each must be an input of the flake.
    '';
  };
}
