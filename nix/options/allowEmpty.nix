{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.provider.allowEmpty = mkOption {
    type = types.bool;
    default = false;
    description = ''
      Whether a plan may have no environments at all. Such a plan takes all users
      from all nodes, and most often an input is merely missing.
    '';
  };
}
