# connection plan node: how the node is reached, from the plan. Everything that
# reads a connection reads it here. `mage plan` writes every default; what the plan
# leaves out (sshPort, sshOpts, hostKey) is the choice of ssh.
plan: node:
(import ./attrs.nix).select (value: value != null) (plan.nodeConnections.${node} or (import ./fail.nix {
  subject = "node ${node}";
  problem = "the plan does not say how it is reached";
  hint = "run `mage plan`";
}))
