# The deploy specification, `deploy.nodes`, which deploy-rs reads.
#
#   specOf {
#     plan       the plan, checked by plan-types.nix: deploy-rs puts names of it into
#                remote shells without quotes
#     systems    node -> its evaluated NixOS configuration
#     packages   user name -> the environment's package, whose bin/activate
#                activates the environment
#     activate   platform -> deploy-rs's `lib.<platform>.activate`, or a stand-in:
#                { nixos = base: path; custom = base: script: path; }
#     pkgsFor    platform -> nixpkgs, whose coreutils and sed the scripts then
#                name by their store paths; null takes them from the node's PATH
#   }
#
# returns { nodes.<node> = { hostname; sshOpts; profilesOrder; profiles; ... }; }, and
# ignores other arguments.
#
# It has every node of the plan, with the profile `system` for root, and one for the
# user of each enabled environment. deploy-rs logs in only as the deploy user, pushes
# signed closures, and continues by `sudo -u`: the node's Nix need not trust the deploy
# user or a customer. nix/modules gives nodes the sudo rules (sudo.nix) and the folders
# of the profiles (deploy.nix).
#
# Evaluation is lazy: a customer's broken package breaks only the `path` of the
# customer's own profile.
let
  inherit (builtins) attrNames concatStringsSep elem filter isAttrs listToAttrs mapAttrs toJSON;
  fail = import ./fail.nix;
  activation = import ./activation.nix;
  target = import ./ssh.nix;

  specOf = { plan, systems, packages, activate, pkgsFor ? null, ... }:
    let
      inherit (plan) deployUser;

      nodeOf = name: _:
        let
          connection = import ./connection.nix plan name;
          inherit (connection) system;
          users = filter (user: onNode name plan.environments.${user}) (attrNames plan.environments);
        in
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
            limit = connection.activationTimeout;
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
          # commands of --dry-activate and --boot as attributes; a stand-in can be a
          # function, which has none.
          path = builtins.addErrorContext "while evaluating the profile of node ${node}" "${
            if isAttrs custom
            then (custom // { dryActivate = switch "dry-activate"; boot = switch "boot"; }) base.config.system.build.toplevel script
            else nixos base
          }";
        };

      environmentProfile = node: connection: system: user:
        let
          environment = plan.environments.${user};
          profile = plan.profiles.${user} or (refuse "the plan has no profile of it");
          refuse = problem: fail {
            subject = "environment ${toJSON user} on node ${node}";
            inherit problem;
            hint = "run `mage plan`, which writes generated/plan.json";
          };
          package = packages.${user} or (refuse "there is no package of it");
          script = activation.environment { inherit user environment; limit = profile.activationTimeout; coreutils = binOf "coreutils" system; };
        in
        if elem user [ "root" "system" deployUser ] then refuse "an environment cannot be the user ${user}"
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
