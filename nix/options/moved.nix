{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.provider.moved = mkOption {
    type = types.listOf (types.submodule {
      options = {
        from = mkOption {
          type = types.str;
          example = "acme__site";
          description = "The old name: a user name, `organisation__project/environment`, or `organisation__project` for all of its environments.";
        };
        to = mkOption {
          type = types.str;
          example = "acme__www";
          description = "The new name, of the same kind.";
        };
      };
    });
    default = [ ];
    example = [ { from = "acme__site"; to = "acme__www"; } ];
    description = "Environments and projects that were renamed, and keep their UIDs and host names.";
  };
}
