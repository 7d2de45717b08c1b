{ mkOption, types, ... }:
mkOption {
  type = types.listOf types.str;
  default = [ ];
  example = [ "10.20.0.0/16" ];
  description = ''
    Networks of the provider that are not public, and that the checks of
    `mage deploy` and the look-ups of `mage dnsGate` may connect to. Customers
    choose where their names lead to, so no other address that is not public is
    connected to, but those in `provider.nodes.*.address`.
  '';
}
