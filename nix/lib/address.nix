# The address of a node in the forms that programs take. hostenv/names has the same
# forms; hostenv/names/testdata/addressForms.json tests both.
let
  inherit (import ./strings.nix) contains;
in
rec {
  isIPv6 = contains ":";

  # The value of ssh's HostName: ssh expands "%", which begins the zone of an IPv6
  # address.
  ssh = builtins.replaceStrings [ "%" ] [ "%%" ];

  # The hostname of a node for deploy-rs, which puts it into the URI of a Nix store.
  # That takes no bare IPv6 address: for one, the hostname is the node's name, and
  # ssh's HostName must be the address.
  deploy = node: address: if isIPv6 address then node else address;
}
