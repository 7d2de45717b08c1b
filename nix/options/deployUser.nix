{ lib, ... }:
let
  inherit (lib) mkOption;
in
{
  options.provider.deployUser = mkOption {
    type = (import ../lib/name-type.nix lib).user;
    default = (import ../lib/provider-defaults.nix).plain.deployUser;
    description = "The user of every node that `mage deploy` logs in as.";
  };
}
