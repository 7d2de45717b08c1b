{ mkOption, types, ... }:
mkOption {
  type = types.listOf (types.oneOf [ (types.listOf types.str) types.ints.positive (types.strMatching "[1-9][0-9]?%|100%") ]);
  default = [ ];
  example = [ [ "canary-node" ] 2 "30%" ];
  description = ''
    The waves of a deploy. Each entry is the nodes of one wave: a list of
    names, how many of the nodes that are left, by name, or a percentage of
    all nodes. What is left is the last wave. A wave begins when the wave
    before is active and its checks have passed; if more than
    `provider.waveFailures` of its profiles fail, the deploy ends.
  '';
}
