# connection plan node: how the node is reached, from the plan. Everything that
# reads a connection reads it here. `mage plan` writes every default; a plan without
# them is older than this program.
let
  inherit (builtins) concatStringsSep filter;
  inherit (import ./attrs.nix) select;
  fail = import ./fail.nix;
in
plan: node:
let
  found = select (value: value != null) (plan.nodeConnections.${node} or (refuse "the plan does not say how it is reached"));
  missing = filter (name: ! found ? ${name}) [ "system" "tempPath" "remoteBuild" ];
  refuse = problem: fail { subject = "node ${node}"; inherit problem; hint = "run `mage plan`"; };
in
if missing != [ ] then refuse "the plan does not say its ${concatStringsSep ", " missing}"
else
  # ssh's own port and no options, where the plan has none.
  { sshPort = 22; sshOpts = [ ]; } // found
