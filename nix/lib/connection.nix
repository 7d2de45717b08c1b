# connection plan node: how the node is reached, from the plan. Everything that
# reads a connection reads it here.
let
  inherit (import ./attrs.nix) select;
  fail = import ./fail.nix;
in
plan: node:
{
  # Where a plan leaves these out, they are what the tools take.
  system = "x86_64-linux";
  sshPort = 22;
  sshOpts = [ ];
  remoteBuild = false;
  tempPath = "/run/hostenv/deploy";
}
// select (value: value != null) (plan.nodeConnections.${node} or (fail {
  subject = "node ${node}";
  problem = "the plan does not say how it is reached";
  hint = "run `mage plan`";
}))
