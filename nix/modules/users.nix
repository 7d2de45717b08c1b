# Users: the plan's nodes.<node> declares the users, groups and slices of
# environments. This module checks that no other user has their UIDs or GIDs.
# hostenv-users.sh does what NixOS does not: a renamed environment keeps its home, the
# processes of a removed one end, and its files are reported, and removed on command.
{ config, lib, options, pkgs, ... }:
let
  inherit (lib) attrNames concatLists concatMap concatStringsSep filterAttrs mapAttrsToList mkOption types;
  inherit (config.hostenv) environments nodeName;
  paths = import ../lib/paths.nix;
  inherit (import ../lib/nodes.nix) planFile;

  # quoted [ "a" "b" ] is "a and b".
  quoted = concatStringsSep " and ";

  # owned kind id option all user e: assertions that the user has the id of the
  # plan, and that no other user has it.
  owned = kind: id: option: all: user: e:
    let
      others = attrNames (filterAttrs (name: other: name != user && other.${id} == e.uid) all);
      actual = all.${user}.${id} or null;
    in
    [
      {
        assertion = others == [ ];
        message = "${option}: the ${kind} ${toString e.uid} belongs to the environment ${user} by generated/plan.json, and ${quoted others} ${if builtins.length others == 1 then "has" else "have"} it too: set another in the configuration of ${nodeName}";
      }
      {
        assertion = actual == e.uid;
        message = "${option}.${user}.${id} is ${if actual == null then "not set" else toString actual}, and generated/plan.json has the ${kind} ${toString e.uid} for the environment: run `mage plan`, and do not override it, because the environment's files belong to that ${kind}";
      }
    ];

  # alone user: assertions that only the plan defines the environment's user, and that
  # it is in no other group. A second definition could join two customers, or give one
  # the rights of an operator.
  alone = user:
    let
      elsewhere = concatMap (d: lib.optional (d.value ? ${user} && d.file != planFile) (toString d.file)) options.users.users.definitionsWithLocations;
      groups = attrNames (filterAttrs (_: g: lib.elem user g.members) (removeAttrs config.users.groups [ user ]));
      own = config.users.users.${user} or { };
    in
    [
      {
        assertion = elsewhere == [ ];
        message = "users.users.${user} belongs to generated/plan.json, and ${quoted elsewhere} ${if builtins.length elsewhere == 1 then "defines" else "define"} it too: remove it there, and set what customers may have in their own environment";
      }
      {
        assertion = groups == [ ] && own.extraGroups or [ ] == [ ];
        message = "the environment ${user} is in the group ${quoted (lib.unique (groups ++ own.extraGroups or [ ]))}: an environment is in no group but its own";
      }
    ];

  # Normal users that are no environments, and those of them without a uid, which
  # NixOS chooses when it makes the user.
  own = filterAttrs (name: u: u.isNormalUser && ! environments ? ${name}) config.users.users;
  floating = attrNames (filterAttrs (_: u: u.uid == null) own);
  # Whether an environment has a UID in the range from which NixOS chooses.
  inRange = lib.any (e: e.uid >= 1000 && e.uid < 30000) (lib.attrValues environments);

  # The table that hostenv-users reads.
  line = kind: name: uid: formers: home: "${kind} ${name} ${if uid == null then "-" else toString uid} ${if formers == [ ] then "-" else concatStringsSep "," formers} ${home}\n";
  table = pkgs.writeText "hostenv-users-table" (lib.concatStrings (
    mapAttrsToList (user: e: line "environment" user e.uid e.formerNames (config.users.users.${user}.home or "/home/${user}")) environments
    ++ mapAttrsToList (user: uid: line "disabled" user uid [ ] "/home/${user}") config.hostenv.disabled
    ++ mapAttrsToList (name: u: line "user" name u.uid [ ] u.home) own
  ));
  program = pkgs.writeShellScriptBin "hostenv-users" (import ../lib/fill.nix ./hostenv-users.sh {
    path = lib.makeBinPath [ pkgs.coreutils pkgs.findutils pkgs.util-linux pkgs.procps config.systemd.package ];
    table = "${table}";
    inherit (paths) profiles runtimes upstreams;
    link = baseNameOf (paths.profile "");
    temp = config.hostenv.deploy.tempPath;
  });
in
{
  options.hostenv.disabled = mkOption {
    type = types.attrsOf types.int;
    default = { };
    example = { site-staging-d6e4934 = 40002; };
    description = ''
      The UIDs of the disabled environments of this node, by user name: their files here are not leftovers. The plan sets
      this.
    '';
  };

  config = {
    assertions = concatLists (mapAttrsToList
      (user: e:
        [
          {
            assertion = e.hostenv.userName == user;
            message = "generated/plan.json: environments.${user}.hostenv.userName is ${e.hostenv.userName}, and must be ${user}: run `mage plan`";
          }
        ]
        ++ alone user
        ++ owned "UID" "uid" "users.users" config.users.users user e
        ++ owned "GID" "gid" "users.groups" config.users.groups user e)
      environments);

    warnings = lib.optional (inRange && floating != [ ]) ''
      ${quoted (map (name: "users.users.${name}") floating)} on ${nodeName} has no uid, and NixOS may choose one that the
      plan gives to an environment later: set a uid outside of provider.uidRange.'';

    users.mutableUsers = lib.mkDefault false;

    # Deploys run it, see sudo.nix.
    environment.systemPackages = lib.mkIf (config.hostenv.deploy.sudoCommands != { }) [ program ];
    system.activationScripts = {
      hostenv-users = {
        text = "${program}/bin/hostenv-users activate";
        supportsDryActivation = true;
      };
      # The services sysusers and userborn, which make users instead, start later.
      users = lib.mkIf (! config.systemd.sysusers.enable && ! (config.services.userborn.enable or false)) {
        deps = [ "hostenv-users" ];
      };
    };
  };
}
