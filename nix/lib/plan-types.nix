# The types of a plan: typed name plan is the plan, or an error that names the
# file and the option.
#
#   name  the plan's, as people know it: "generated/plan.json"
#
# An environment, a node or a connection is checked when it is used. An attribute
# that is not declared here is carried through: an environment is the customer's
# own configuration, and NixOS checks a node's options.
let
  inherit (builtins) all attrNames attrValues concatMap concatStringsSep isAttrs isBool isInt isList isString mapAttrs toJSON typeOf;
  inherit (import ./strings.nix) showPath;
  fail = import ./fail.nix;

  type = name: is: { inherit name is; };
  string = type "string" isString;
  strings = type "list of strings" (value: isList value && all isString value);
  boolean = type "boolean" isBool;
  uid = type "unsigned integer" (value: isInt value && value >= 0);
  port = type "port, 0 to 65535" (value: isInt value && value >= 0 && value <= 65535);
  set = type "set" isAttrs;
  sets = type "set of sets" (value: isAttrs value && all isAttrs (attrValues value));
  record = fields: set // { inherit fields; };
  # May be missing or null.
  optional = type: type // { optional = true; };

  environment = record {
    enable = optional boolean;
    uid = uid;
    node = string;
    previousNode = optional string;
    formerNames = optional strings;
    authorizedKeys = strings;
    virtualHosts = sets;
    hostenv = record { userName = string; organisation = string; project = string; environmentName = string; };
    source = optional (record { type = string; narHash = string; rev = optional string; ref = optional string; dir = optional string; });
  };

  profile = record { profileLink = string; tempPath = string; };

  connection = record {
    hostname = string;
    system = string;
    sshPort = optional port;
    sshOpts = optional strings;
    hostKey = optional string;
    remoteBuild = boolean;
    magicRollback = boolean;
    autoRollback = boolean;
    profileLink = string;
    tempPath = string;
  };

  show = value: if isAttrs value || isList value then "a ${typeOf value}" else toJSON value;

  # problems path type value: what is wrong with the value, as texts.
  problems = path: type: value:
    if ! type.is value then [ "${showPath path} is ${show value}, which is not of type ${type.name}" ]
    else
      concatMap
        (key:
          let field = type.fields.${key}; in
          if value.${key} or null != null then problems (path ++ [ key ]) field value.${key}
          else if field.optional or false then [ ]
          else [ "${showPath (path ++ [ key ])} is missing" ])
        (attrNames (type.fields or { }));
in
name: plan:
let
  checked = path: type: value:
    let found = problems path type value; in
    if found == [ ] then value
    else
      fail {
        subject = name;
        problem = concatStringsSep "; " found;
        hint = "run `mage plan`, which writes it anew";
      };
  each = key: type: mapAttrs (member: checked [ key member ] type) (checked [ key ] set (plan.${key} or null));
in
plan // {
  environments = each "environments" environment;
  profiles = each "profiles" profile;
  nodes = each "nodes" sets;
  nodeConnections = each "nodeConnections" connection;
  deployUser = checked [ "deployUser" ] string (plan.deployUser or null);
  hostenvHostname = checked [ "hostenvHostname" ] string (plan.hostenvHostname or null);
}
