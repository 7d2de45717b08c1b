{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.provider.transfers = mkOption {
    type = types.listOf (types.submodule {
      options = {
        host = mkOption {
          type = types.str;
          example = "www.acme.example";
          description = "The host name.";
        };
        from = mkOption {
          type = types.str;
          example = "site-main-b7ea262";
          description = "The user name of the environment that has it now.";
        };
        to = mkOption {
          type = types.str;
          example = "shop-main-4f7240c";
          description = "The user name of the environment that gets it.";
        };
      };
    });
    default = [ ];
    example = [ { host = "www.acme.example"; from = "site-main-b7ea262"; to = "shop-main-4f7240c"; } ];
    description = "Host names that move to an environment of another project or organisation. `mage plan` refuses such a move without an entry here.";
  };
}
