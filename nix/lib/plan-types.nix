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
  inherit (builtins) attrNames concatMap concatStringsSep elemAt genList isAttrs isBool isInt isList isString length mapAttrs toJSON typeOf;
  inherit (import ./strings.nix) showPath;
  is = import ./is.nix;
  fail = import ./fail.nix;

  # A type is what it expects, whether a value has it, and the members of such a
  # value: a list of { name; type; value; }.
  type = expected: accepts: { inherit expected accepts; members = _: [ ]; };
  string = type "a string" isString;
  boolean = type "true or false" isBool;
  uid = type "a UID above 0" (value: isInt value && value > 0);
  port = type "a port, 1 to 65535" (value: isInt value && value >= 1 && value <= 65535);
  user = type "a user name" is.user;
  node = type "a node name" is.node;
  host = type "a host name" is.host;
  address = type "a host name or an IP address" is.address;
  system = type "a platform" is.system;
  path = type "a plain absolute path" is.plainPath;
  set = type "a set" isAttrs;
  setOf = type: set // { members = value: map (name: { inherit name type; value = value.${name}; }) (attrNames value); };
  record = types: set // { members = value: map (name: { inherit name; type = types.${name}; value = value.${name} or null; }) (attrNames types); };
  listOf = inner: type "a list" isList // {
    members = value: genList (i: { name = toString i; type = inner; value = elemAt value i; }) (length value);
  };
  # The value may be missing or null.
  optional = type: type // {
    accepts = value: value == null || type.accepts value;
    members = value: if value == null then [ ] else type.members value;
  };

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

  profile = record { profileLink = path; tempPath = path; };

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
  };

  show = value:
    if value == null then "nothing"
    else if isAttrs value || isList value then "a ${typeOf value}"
    else toJSON value;

  # problems path type value: the mistakes in the value, as texts.
  problems = path: type: value:
    if ! type.accepts value then [ "${showPath path}: expected ${type.expected}, got ${show value}" ]
    else concatMap (member: problems (path ++ [ member.name ]) member.type member.value) (type.members value);
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
