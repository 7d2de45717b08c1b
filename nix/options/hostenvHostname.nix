{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.provider.hostenvHostname = mkOption {
    type = types.str;
    example = "hosting.example";
    description = ''
      The provider's own domain. An environment is reached as
      `<userName>.<hostenvHostname>`, a node as `<node>.<hostenvHostname>`.
    '';
  };
}
