{ mkOption, types, ... }:
mkOption {
  type = types.attrsOf types.str;
  default = { };
  example = {
    acme = "node-c";
    acme__site = "node-a";
    "acme__site/main" = "node-b";
  };
  description = ''
    The node of one environment (`organisation__project/environment`), of a
    project (`organisation__project`) or of an organisation. The most specific
    entry holds; without one, `provider.nodeFor` does.
  '';
}
