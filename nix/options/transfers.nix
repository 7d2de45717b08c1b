{ mkOption, types, required, ... }:
mkOption {
  type = types.listOf (types.submodule {
    options = {
      host = required types.str "www.acme.example" "The host name.";
      from = required types.str "site-main-b7ea262" "The user name of the environment that has it now.";
      to = required types.str "shop-main-4f7240c" "The user name of the environment that gets it.";
    };
  });
  default = [ ];
  example = [ { host = "www.acme.example"; from = "site-main-b7ea262"; to = "shop-main-4f7240c"; } ];
  description = "Host names that move to an environment of another project or organisation. `mage plan` refuses such a move without an entry here.";
}
