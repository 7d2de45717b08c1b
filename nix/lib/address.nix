# How programs are given the address of a node, as hostenv/names has it: both are
# tested with hostenv/names/testdata/addressForms.json.
let
  inherit (import ./strings.nix) contains;
in
rec {
  isIPv6 = contains ":";

  # The value of ssh's HostName: ssh expands "%", which begins the zone of an IPv6
  # address.
  ssh = builtins.replaceStrings [ "%" ] [ "%%" ];

  # The hostname of a node in deploy-rs's terms. deploy-rs puts it into the URI of a
  # Nix store, which takes no bare IPv6 address: of one it is the node's name, and
  # ssh's HostName must say the address.
  deploy = node: address: if isIPv6 address then node else address;
}
