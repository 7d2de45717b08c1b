{ mkOption, types, defaults, ... }:
mkOption {
  type = types.listOf types.str;
  default = defaults.plain.notProjects;
  example = [ "vendor__lib" ];
  description = ''
    Inputs that are not projects of customers, although their names hold `__`.
    Each must be an input of the flake.
  '';
}
