# The types of a plan: a function of the plan's name and the plan that gives the
# plan as it is, or an error that names the file and the option.
#
#   lib  nixpkgs's
#
# An environment or a node is checked when it is looked at. What is not declared
# here is carried through: an environment is the customer's own configuration,
# and a node's options are checked by NixOS.
{ lib }:
let
  inherit (lib) mkOption types;

  # A set of which only some attributes are looked at.
  open = options: types.submoduleWith {
    shorthandOnlyDefinesConfig = true;
    modules = [{ config._module.check = false; inherit options; }];
  };
  required = type: description: mkOption { inherit type description; };
  optional = type: description: mkOption { type = types.nullOr type; default = null; inherit description; };

  environment = open {
    enable = mkOption { type = types.bool; default = true; description = "Whether it is on its node."; };
    uid = required types.ints.unsigned "The UID of its user.";
    node = required types.str "The node that it is on.";
    previousNode = optional types.str "The node that it was deployed to.";
    formerNames = mkOption { type = types.listOf types.str; default = [ ]; description = "The user names that it had before."; };
    authorizedKeys = required (types.listOf types.str) "The keys that may log in as its user.";
    virtualHosts = required (types.lazyAttrsOf (types.lazyAttrsOf types.raw)) "Its virtual hosts.";
    hostenv = required
      (open {
        userName = required types.str "Its user.";
        organisation = required types.str "Whose it is.";
        project = required types.str "What it is an environment of.";
        environmentName = required types.str "Its name in the project, and that of its package.";
      })
      "Who it is.";
    source = optional
      (open {
        type = required types.str "The kind of source, for fetchTree.";
        narHash = required types.str "The hash of what is fetched.";
        rev = optional types.str "The commit.";
        ref = optional types.str "The branch or tag.";
        dir = optional types.str "The folder of flake.nix.";
      })
      "Where its flake is fetched from, locked.";
  };

  connection = open {
    hostname = required types.str "How the node is reached.";
    system = mkOption { type = types.str; default = "x86_64-linux"; description = "Its platform."; };
    sshPort = optional types.port "The port of its ssh server.";
    sshOpts = optional (types.listOf types.str) "Further arguments of ssh.";
    hostKey = optional types.str "Its ssh host key.";
    remoteBuild = optional types.bool "Whether to build on it.";
    magicRollback = optional types.bool "See provider.nodes.";
    autoRollback = optional types.bool "See provider.nodes.";
    tempPath = optional types.str "See provider.nodes.";
  };

  options = {
    environments = required (types.lazyAttrsOf environment) "The environments, by user name.";
    nodes = required (types.lazyAttrsOf (types.lazyAttrsOf types.raw)) "NixOS modules, by node.";
    nodeConnections = mkOption { type = types.lazyAttrsOf connection; default = { }; description = "How nodes are reached."; };
    deployUser = mkOption { type = types.str; default = "deploy"; description = "Who deploys."; };
    hostenvHostname = required types.str "The provider's domain.";
  };
in
name: document:
let
  typed = (lib.evalModules {
    modules = [
      { config._module.check = false; inherit options; }
      # Its definitions, under the file's own name.
      { _file = name; config = document; }
    ];
  }).config;

  checked = key: builtins.mapAttrs
    (member: builtins.seq (builtins.deepSeq typed.${key}.${member} null))
    document.${key};
in
document // {
  environments = checked "environments";
  nodes = builtins.mapAttrs (node: builtins.seq typed.nodes.${node}) document.nodes;
  deployUser = typed.deployUser;
  inherit (typed) hostenvHostname;
} // (if document ? nodeConnections then { nodeConnections = checked "nodeConnections"; } else { })
