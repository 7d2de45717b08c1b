{ mkOption, types, ... }:
mkOption {
  type = types.attrsOf types.str;
  default = { };
  example = { acme__site = "the shop closes on Friday"; };
  description = ''
    Projects that stay as the last plan has them, with the reason: sources,
    configuration, nodes and host names. `mage plan` shows the reason each
    time. Remove the entry to plan the project again.
  '';
}
