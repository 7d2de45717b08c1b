# The deploy specification: what deploy-rs reads at `deploy.nodes`, made of a plan.
#
#   specOf {
#     plan       a parsed plan.json
#     systems    node -> its evaluated NixOS configuration
#     packages   user name -> the environment's package, whose bin/activate
#                activates the environment
#     activate   platform -> deploy-rs's `lib.<platform>.activate`, or a stand-in:
#                { nixos = base: path; custom = base: script: path; }
#     pkgsFor    platform -> nixpkgs, whose coreutils and sed the scripts then
#                name by their store paths; null takes them from the node's PATH
#   }
#
# is { nodes.<node> = { hostname; sshOpts; profilesOrder; profiles; ... }; }.
# Further arguments are ignored: the plan holds what the provider's options say of a
# node.
#
# It has every node of the plan, with the profile `system` (root's, through the
# deploy user) and one for each of its enabled environments, which belongs to the
# environment's user. deploy-rs logs in as the deploy user alone, pushes signed
# closures, and continues by `sudo -u`: the node's Nix need not trust the deploy user
# or a customer.
#
# A node has, by nix/modules: sudo rules for the deploy user (sudo.nix), and the
# folders of its profiles (deploy.nix).
#
# Evaluation is lazy: a customer's broken package breaks the `path` of the
# customer's own profile alone.
let
  inherit (builtins) attrNames concatStringsSep elem filter isAttrs listToAttrs mapAttrs toJSON;
  fail = import ./fail.nix;
  activation = import ./activation.nix;
  target = import ./ssh.nix;

  # The names are checked once more before they reach deploy-rs, which puts user
  # names into a remote shell without quotes, and takes an escaped quote in
  # `.#"node"."profile"` for the end of the name. Its interface.json wants a letter
  # in both.
  is = import ./is.nix;

  specOf = { plan, systems, packages, activate, pkgsFor ? null, ... }:
    let
      deployUser =
        if is.user (plan.deployUser or null) then plan.deployUser
        else
          fail {
            subject = "deploy specification";
            problem = "deployUser is ${toJSON (plan.deployUser or null)}, which is no user name";
            hint = "set provider.deployUser to a name of a-z, 0-9, - and _, and run `mage plan`";
          };

      nodeOf = name: _:
        let
          connection = connectionOf name;
          inherit (connection) system;
          users = filter (user: onNode name plan.environments.${user}) (attrNames plan.environments);
        in
        if ! is.node name then
          fail {
            subject = "node ${toJSON name}";
            problem = "deploy-rs cannot deploy to a node of this name";
            hint = "use labels of letters, digits and hyphens, with dots between them and a letter in one of them";
          }
        else
          target name connection
          // { inherit (connection) autoRollback magicRollback; }
          # deploy-rs reads remoteBuild; its interface.json does not list it.
          // (if connection.remoteBuild then { remoteBuild = true; } else { })
          // {
            profilesOrder = [ "system" ] ++ users;
            profiles = { system = systemProfile name connection system; }
              // listToAttrs (map (user: { name = user; value = environmentProfile name connection system user; }) users);
          };

      onNode = node: environment: environment.enable or true && environment.node == node;

      connectionOf = node:
        let
          connection = import ./connection.nix plan node;
          temp = connection.tempPath;
        in
        if is.plainPath temp then connection
        else
          fail {
            subject = "node ${node}";
            problem = "tempPath is ${toJSON temp}, which is no plain absolute path";
            hint = "set provider.nodes.${toJSON node}.tempPath to one of letters, digits, dots, hyphens and slashes";
          };

      # binOf "coreutils" platform: the folder of its programs, see activation.nix.
      binOf = package: system: if pkgsFor == null then "" else "${(pkgsFor system).${package}}/bin/";

      systemProfile = node: connection: system:
        let
          base = systems.${node} or (fail {
            subject = "node ${node}";
            problem = "there is no NixOS configuration for it";
            hint = "the systems must have every node of the plan: ${concatStringsSep ", " (attrNames plan.nodes)}";
          });
          inherit (activate system) custom nixos;
          script = activation.system {
            inherit (base) config;
            coreutils = binOf "coreutils" system;
            sed = binOf "gnused" system;
          };
          switch = verb: ''"$PROFILE/bin/switch-to-configuration" ${verb}'';
        in
        {
          user = "root";
          sshUser = deployUser;
          profilePath = connection.profileLink;
          inherit (connection) tempPath;
          # deploy-rs's `nixos` switches without a log. Its `custom` takes the
          # verbs for --dry-activate and --boot as attributes; a stand-in can be a
          # mere function, which cannot.
          path = builtins.addErrorContext "while evaluating the profile of node ${node}" "${
            if isAttrs custom
            then (custom // { dryActivate = switch "dry-activate"; boot = switch "boot"; }) base.config.system.build.toplevel script
            else nixos base
          }";
        };

      environmentProfile = node: connection: system: user:
        let
          environment = plan.environments.${user};
          profile = plan.profiles.${user} or { };
          missing = filter (name: ! environment ? ${name}) [ "uid" ] ++ filter (name: ! profile ? ${name}) [ "profileLink" "tempPath" ];
          ref = environment.hostenv.userName or user;
          refuse = problem: fail {
            subject = "environment ${toJSON user} on node ${node}";
            inherit problem;
            hint = "run `mage plan`: generated/plan.json is not to be written by hand";
          };
          package = packages.${user} or (refuse "there is no package of it");
          script = activation.environment { inherit user environment; coreutils = binOf "coreutils" system; };
        in
        if ! is.user user then refuse "its name is no user name"
        else if elem user [ "root" "system" deployUser ] then refuse "an environment cannot be the user ${user}"
        else if ref != user then refuse "its hostenv.userName is ${toJSON ref}"
        else if missing != [ ] then refuse "it has no ${concatStringsSep ", " missing}"
        else {
          inherit user;
          sshUser = deployUser;
          profilePath = profile.profileLink;
          inherit (profile) tempPath;
          path = builtins.addErrorContext "while evaluating the profile of environment ${user} on node ${node}"
            "${(activate system).custom package script}";
        };
    in
    { nodes = mapAttrs nodeOf plan.nodes; };
in
{ inherit specOf; }
