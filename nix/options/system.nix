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
      The platform whose `lib.hostenv` of the customers' flakes says which
      environments there are. The packages are those of each node's platform.
    '';
  };
}
