# Types of data, for values that the module system must not interpret: a plan's
# environments hold what customers wrote. A type is what it expects, whether a value
# has it, and the members of such a value: a list of { name; type; value; }.
let
  inherit (builtins) attrNames concatMap elemAt genList intersectAttrs isAttrs isBool isInt isList isString length mapAttrs toJSON typeOf;
  inherit (import ./strings.nix) showPath;
  is = import ./is.nix;

  type = expected: accepts: { inherit expected accepts; members = _: [ ]; complete = value: value; };

  show = value:
    if value == null then "nothing"
    else if isAttrs value || isList value then "a ${typeOf value}"
    else toJSON value;

  # problems path type value: the mistakes in the value, as texts.
  problems = path: type: value:
    if ! type.accepts value then [ "${showPath path}: expected ${type.expected}, got ${show value}" ]
    else concatMap (member: problems (path ++ [ member.name ]) member.type member.value) (type.members value);
in
rec {
  inherit type problems;

  string = type "a string" isString;
  boolean = type "true or false" isBool;
  uid = type "a UID above 0" (value: isInt value && value > 0);
  port = type "a port, 1 to 65535" (value: isInt value && value >= 1 && value <= 65535);
  seconds = type "a number of seconds above 0" (value: isInt value && value > 0);
  user = type "a user name" is.user;
  node = type "a node name" is.node;
  host = type "a host name" is.host;
  address = type "a host name or an IP address" is.address;
  system = type "a platform" is.system;
  path = type "a plain absolute path" is.plainPath;
  set = type "a set" isAttrs;

  setOf = type: set // {
    members = value: map (name: { inherit name type; value = value.${name}; }) (attrNames value);
    complete = mapAttrs (_: type.complete);
  };

  # A set with these members, which keeps others.
  record = types: set // {
    members = value: map (name: { inherit name; type = types.${name}; value = value.${name} or null; }) (attrNames types);
    # complete value: the value with every member, null for one that is missing.
    complete = value: value // mapAttrs (name: type: type.complete (value.${name} or null)) types;
  };

  listOf = inner: type "a list" isList // {
    members = value: genList (i: { name = toString i; type = inner; value = elemAt value i; }) (length value);
  };

  # The value may be missing or null.
  optional = type: default type null;

  # The same; `complete` gives the fallback for it.
  default = type: fallback: type // {
    accepts = value: value == null || type.accepts value;
    members = value: if value == null then [ ] else type.members value;
    complete = value: if value == null then fallback else type.complete value;
  };
}
