{ mkOption, types, defaults, ... }:
mkOption {
  type = types.str;
  default = defaults.plain.system;
  example = "aarch64-linux";
  description = ''
    The platform for which the customers' flakes are asked for their
    environments (`lib.hostenv.<platform>`). Packages are built for the platform
    of each node.
  '';
}
