{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.provider.deployUser = mkOption {
    type = types.strMatching "[a-z_][a-z0-9_-]*";
    default = "deploy";
    description = "The user of every node that `mage deploy` logs in as.";
  };
}
