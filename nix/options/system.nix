{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.provider.system = mkOption {
    type = types.str;
    default = (import ../lib/provider-defaults.nix).plain.system;
    example = "aarch64-linux";
    description = ''
      The platform for which the customers' flakes are asked for their
      environments (`lib.hostenv.<platform>`). Packages are built for the platform
      of each node.
    '';
  };
}
