{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.provider.hostenvHostname = mkOption {
    type = types.str;
    example = "hosting.example";
    description = ''
      The provider's own domain. The host name of an environment is
      `<userName>.<hostenvHostname>`, that of a node `<node>.<hostenvHostname>`.
    '';
  };
}
