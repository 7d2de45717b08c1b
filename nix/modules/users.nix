# Users: nobody is added by hand, and nobody has what belongs to an environment.
# The users, groups and slices themselves are in the plan's nodes.<node>.
{ config, lib, ... }:
let
  inherit (lib) attrNames concatLists concatStringsSep filterAttrs mapAttrsToList;
  inherit (config.hostenv) environments nodeName;

  # quoted [ "a" "b" ] is "a and b".
  quoted = concatStringsSep " and ";

  # owned kind id option all user e: that the id which the plan gave to an
  # environment is the one it has here, and nobody else's.
  owned = kind: id: option: all: user: e:
    let
      others = attrNames (filterAttrs (name: other: name != user && other.${id} == e.uid) all);
      actual = all.${user}.${id} or null;
    in
    [
      {
        assertion = others == [ ];
        message = "${option}: the ${kind} ${toString e.uid} belongs to the environment ${user} by generated/plan.json, and is also that of ${quoted others}: give ${if builtins.length others == 1 then "it" else "them"} another in the configuration of ${nodeName}";
      }
      {
        assertion = actual == e.uid;
        message = "${option}.${user}.${id} is ${if actual == null then "not set" else toString actual}, and generated/plan.json has the ${kind} ${toString e.uid} for the environment: run `mage plan`, and do not override it, for the environment's files belong to that ${kind}";
      }
    ];

  # Normal users to whom NixOS gives whatever UID is free at that time.
  floating = attrNames (filterAttrs (name: u: u.isNormalUser && u.uid == null && ! environments ? ${name}) config.users.users);
  reach = lib.any (e: e.uid >= 1000 && e.uid < 30000) (lib.attrValues environments);
in
{
  assertions = concatLists (mapAttrsToList
    (user: e:
      [
        {
          assertion = e.hostenv.userName == user;
          message = "generated/plan.json: environments.${user}.hostenv.userName is ${e.hostenv.userName}, and should be ${user}: run `mage plan`";
        }
      ]
      ++ owned "UID" "uid" "users.users" config.users.users user e
      ++ owned "GID" "gid" "users.groups" config.users.groups user e)
    environments);

  warnings = lib.optional (reach && floating != [ ]) ''
    ${quoted (map (name: "users.users.${name}") floating)} on ${nodeName} has no uid, and NixOS may choose one that the
    plan gives to an environment later on: set it, outside of provider.uidRange.'';

  users.mutableUsers = lib.mkDefault false;
}
