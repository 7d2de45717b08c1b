{ lib, mkOption, defaults, ... }:
mkOption {
  type = (import ../lib/name-type.nix lib).user;
  default = defaults.plain.deployUser;
  description = "The user of every node that `mage deploy` logs in as.";
}
