# The sudoers(5) rules of nix/modules/sudo.nix, by node. This evaluates the module
# itself, with the parts of nixpkgs' lib that it needs.
#   repository  this repository
#   nodes       node -> the users of its environments
#   deployUser
{ repository, nodes, deployUser }:
let
  lib = {
    mkDefault = value: value;
    mkIf = condition: value: if condition then value else { };
    mkOption = option: option;
    literalMD = text: text;
    types = { attrsOf = _: null; listOf = _: null; singleLineStr = null; };
    mapAttrsToList = f: set: map (name: f name set.${name}) (builtins.attrNames set);
    inherit (builtins) mapAttrs replaceStrings;
  };

  sudoers = users:
    let
      module = import (repository + "/nix/modules/sudo.nix") {
        inherit lib;
        config = {
          security.sudo = { enable = true; execWheelOnly = false; };
          hostenv = {
            environments = builtins.listToAttrs (map
              (name: {
                inherit name;
                value = { profileLink = "/nix/var/nix/profiles/per-user/${name}/hostenv"; tempPath = "/run/hostenv/deploy/${name}"; activationTimeout = 900; };
              })
              users);
            deploy = {
              user = deployUser;
              profileLink = "/nix/var/nix/profiles/system";
              tempPath = "/run/hostenv/deploy";
              activationTimeout = 3600;
              sudoCommands = module.options.hostenv.deploy.sudoCommands.default;
            };
          };
        };
      };
      inherit (module.config.security) sudo;
      line = rule: { command, options }:
        "${builtins.head rule.users} ALL=(${rule.runAs}) ${builtins.concatStringsSep ":" options}: ${command}";
    in
    assert builtins.all (a: a.assertion) module.config.assertions;
    builtins.concatStringsSep "\n"
      ([ "root ALL=(ALL:ALL) SETENV: ALL" ] ++ builtins.concatMap (rule: map (line rule) rule.commands) sudo.extraRules ++ [ sudo.extraConfig ]);
in
builtins.mapAttrs (_: sudoers) nodes
