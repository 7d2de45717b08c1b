# The types of a plan: `typed name plan` is the plan, or an error with each wrong
# member.
#
#   name  of the file, for errors: "generated/plan.json"
#
# An environment, a node or a connection is checked when it is used. Other members
# are kept: an environment is the customer's own configuration, and NixOS checks the
# options of a node. hostenv/plan and hostenv/deploy check a plan for Go;
# hostenv/deploy/testdata/refused.json tests both.
let
  inherit (builtins) concatStringsSep mapAttrs;
  inherit (import ./typed.nix) address boolean host listOf node optional path port problems record seconds set setOf string system uid user;
  fail = import ./fail.nix;

  environment = record {
    enable = optional boolean;
    inherit uid node;
    previousNode = optional node;
    formerNames = optional (listOf user);
    authorizedKeys = listOf string;
    migrations = optional (listOf string);
    virtualHosts = setOf set;
    hostenv = record { userName = string; organisation = string; project = string; environmentName = string; migrations = optional (listOf string); };
    source = optional (record { type = string; narHash = string; rev = optional string; ref = optional string; dir = optional string; });
  };

  profile = record { profileLink = path; tempPath = path; activationTimeout = seconds; };

  connection = record {
    hostname = address;
    inherit system;
    sshPort = optional port;
    sshOpts = optional (listOf string);
    hostKey = optional string;
    remoteBuild = boolean;
    magicRollback = boolean;
    autoRollback = boolean;
    profileLink = path;
    tempPath = path;
    activationTimeout = seconds;
    checks = optional (listOf set);
  };

in
name: plan:
let
  refuse = found: fail {
    subject = name;
    problem = concatStringsSep "; " found;
    hint = "run `mage plan`, which writes it anew";
  };
  checked = path: type: value:
    let found = problems path type value; in
    if found == [ ] then value else refuse found;

  # each key name type: the plan's member, a set whose names and values have types.
  each = key: name: type: mapAttrs
    (member: value:
      let found = problems [ key ] name member; in
      if found == [ ] then checked [ key member ] type value else refuse found)
    (checked [ key ] set (plan.${key} or null));
in
plan // {
  environments = each "environments" user environment;
  profiles = each "profiles" user profile;
  nodes = each "nodes" node (setOf set);
  nodeConnections = each "nodeConnections" node connection;
  deployUser = checked [ "deployUser" ] user (plan.deployUser or null);
  hostenvHostname = checked [ "hostenvHostname" ] host (plan.hostenvHostname or null);
}
