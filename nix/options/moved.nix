{ mkOption, types, required, ... }:
mkOption {
  type = types.listOf (types.submodule {
    options = {
      from = required types.str "acme__site"
        "The old name: a user name, `organisation__project/environment`, or `organisation__project` for all of its environments.";
      to = required types.str "acme__www" "The new name, of the same kind.";
    };
  });
  default = [ ];
  example = [ { from = "acme__site"; to = "acme__www"; } ];
  description = "Environments and projects that were renamed, and keep their UIDs and host names.";
}
