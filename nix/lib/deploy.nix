# The deploy specification: what deploy-rs reads at `deploy.nodes`, made of a plan.
#
#   specOf {
#     plan       a parsed plan.json
#     systems    node -> its evaluated NixOS configuration
#     packages   user name -> the environment's package, whose bin/activate
#                brings the environment up
#     activate   platform -> deploy-rs's `lib.<platform>.activate`, or what stands
#                in for it: { nixos = base: path; custom = base: script: path; }
#     pkgsFor    platform -> nixpkgs, whose coreutils and sed the scripts then
#                name by their store paths; null takes them from the node's PATH
#   }
#
# is { nodes.<node> = { hostname; sshOpts; profilesOrder; profiles; ... }; }. It
# takes further arguments, and does not look at them: what the provider's
# options say of a node, the plan holds.
#
# Every node of the plan is in it, with the profile `system` (root's, by way of
# the deploy user) and one for each of its enabled environments, which is the
# environment user's own: deploy-rs logs in as the deploy user alone, who
# pushes signed closures, and goes on by `sudo -u`. The node's Nix need trust
# neither him nor a customer.
#
# What it counts on the node to have, see paths below and nix/modules:
#   - the deploy user, with sudo for `activate-rs` and for `rm` of the canary
#   - paths.temp:    root's, mode 0711, and below it a folder for each user, mode 0700
#   - paths.profile: its folder, owned by the user
#
# Nothing is evaluated before it is asked for: a customer whose package is
# broken breaks the `path` of his own profile, and no sibling's.
let
  inherit (builtins) attrNames concatLists concatStringsSep elem filter isAttrs isString listToAttrs mapAttrs match replaceStrings;
  inherit (import ./strings.nix) contains;
  fail = import ./fail.nix;

  # Names are checked once more here, where they leave for deploy-rs. It puts
  # user names into a remote shell without quotes, and does not understand an
  # escaped quote in `.#"node"."profile"`. Its interface.json wants a letter in
  # either.
  is = import ./is.nix;

  isOneWord = value: isString value && match "[^[:space:][:cntrl:]]+" value != null;

  # quote "it's" is 'it'\''s', one word for any shell.
  quote = text: "'${replaceStrings [ "'" ] [ "'\\''" ] text}'";

  # Where things are on a node. Whoever makes these folders (NixOS modules), and
  # whoever looks into them (a deploy), asks here.
  paths = {
    # The generations of an environment. deploy-rs's own choice moves from
    # per-user/ into the user's home, and back, with what exists on the node.
    # Here it is below /nix/var/nix/profiles, so that garbage collection finds
    # its roots directly, and root and the deploy user can read what is active
    # without entering a customer's home, which may be private or not mounted.
    # It has a name of its own beside `profile`, which is the user's `nix-env`.
    profile = user: "/nix/var/nix/profiles/per-user/${user}/hostenv";

    # The generations of the system, as NixOS has them.
    systemProfile = "/nix/var/nix/profiles/system";

    # The store path whose activation ended well, beside the profile that has it
    # active. It is not there from the beginning of an activation to its end, nor
    # after one that failed: a profile can be at a path that never came up.
    activated = profile: "${profile}.activated";

    # Where deploy-rs leaves its canary, the file whose removal confirms an
    # activation. Its name can be known beforehand, so no other customer may
    # write where it is: root's lies in `temp`, a user's in a folder of his own.
    temp = connection: connection.tempPath or "/run/hostenv/deploy";
    userTemp = connection: user: "${paths.temp connection}/${user}";

    # Logs of activations, one file each, the newest keepLogs of them.
    systemLogs = "/var/log/hostenv/activation";
    userLogs = "$XDG_STATE_HOME/hostenv/activation"; # in the user's shell
  };
  keepLogs = 20;

  # logged: a script for bash that runs a command whose output goes to a log of
  # its own as well as to the one who deploys, and ends with its exit status.
  #
  # Of a deploy whose ssh link is lost the node learns only by SIGPIPE, at the
  # next line that is printed, in the middle of an activation; and so do the
  # re-activation of a rollback, which is this script again. Therefore:
  #   - `tee -p` reads on and writes the log when nobody listens any more, and
  #     `cat` after it reads on where even that ends, as on a full disk
  #   - SIGHUP is ignored, for links with a terminal
  #   - the command cannot read the link, either
  # What it leaves running in the background must not keep its output open: the
  # script waits for it, as ssh would.
#
  # A log that cannot be written is warned about and done without: it must not
  # keep a customer's fix from being deployed. What it leaves beside the profile
  # tells who deploys next that this path came up.
  #
  #   bin      the prefix of coreutils' programs, "" for PATH
  #   name     whose activation, for the log
  #   setup    shell text that runs first; where it fails, nothing is activated
  #   logs     the folder of the logs, as a word of the shell
  #   scope    whose systemd has the units: --system or --user
  #   command  shell text, under `set -e` and in a sub-shell
  logged = { bin, name, setup ? "", logs, scope, command }: ''
    set -euo pipefail
    ${builtins.readFile ./failed-units.sh}
    trap "" HUP
    ${setup}
    logs=${logs}
    log=/dev/null
    if (umask 077 && ${bin}mkdir -p "$logs" && ${bin}chmod 700 "$logs"); then
      old=("$logs"/*.log)
      while [ "''${#old[@]}" -ge ${toString keepLogs} ]; do
        ${bin}rm -f -- "''${old[0]}"
        old=("''${old[@]:1}")
      done
      TZ=UTC0 printf -v log '%s/%(%Y%m%dT%H%M%SZ)T-%s.log' "$logs" -1 "$$"
      (umask 077 && : >"$log") || log=/dev/null
    fi
    if [ "$log" = /dev/null ]; then
      printf '%s\n' "warning: there will be no log of this activation, for $logs cannot be written" >&2
    fi
    ${bin}rm -f -- "${paths.activated "$PROFILE"}" || true
    set +e
    (
      path=$(cd -P -- "$PROFILE" && pwd)
      printf -v begun '%(%s)T' -1
      broken=$(${within bin}failed_units ${scope})
      printf 'activating %s: %s\n' ${quote name} "$path"
      (
        set -e
        ${command}
      )
      status=$?
      if [ "$status" = 0 ]; then
        (umask 022 && printf '%s\n' "$path" >"${paths.activated "$PROFILE"}") ||
          printf '%s\n' "warning: the next deploy will activate this again, for ${paths.activated "$PROFILE"} cannot be written"
      else
        ${within bin}tell_failed_units ${scope} "$begun" "$broken"
      fi
      printf 'activation of %s ended with exit status %s\n' ${quote name} "$status"
      exit "$status"
    ) </dev/null 2>&1 | (
      ${bin}tee -p -- "$log"
      ${bin}cat >/dev/null
    )
    exit "''${PIPESTATUS[0]}"
  '';

  # within bin is what a function of the shell is called with to find programs there.
  within = bin: if bin == "" then "" else "PATH=${bin}:$PATH ";

  # What a login would have set and `sudo -u` has not. An activation that finds
  # itself running as somebody else, as after `deploy --profile-user root`,
  # would run a customer's code with another's rights.
  session = user: environment:
    let
      hostenv = environment.hostenv or { };
      set = name: value: ''[ -n "''${${name}:-}" ] || export ${name}=${value}'';
      below = attribute: default: if hostenv ? ${attribute} then quote hostenv.${attribute} else ''"$HOME/${default}"'';
    in
    concatStringsSep "\n" [
      ''
        if [ "$EUID" != ${quote (toString environment.uid)} ]; then
          printf '%s\n' ${quote "error: this is the environment of ${user}, uid ${toString environment.uid}, and it is activated as uid "}"$EUID" \
            "hint: leave deploy-rs's --profile-user away" >&2
          exit 1
        fi
        [ -O "''${HOME:-}" ] || export HOME=~${user}
      ''
      (set "XDG_RUNTIME_DIR" ''"/run/user/$EUID"'')
      (set "XDG_CONFIG_HOME" ''"$HOME/.config"'')
      (set "XDG_STATE_HOME" (below "stateDir" ".local/state"))
      (set "XDG_DATA_HOME" (below "dataDir" ".local/share"))
      (set "XDG_CACHE_HOME" (below "cacheDir" ".cache"))
    ];

  # environmentScript: the activation of an environment. systemd is told to forget
  # what failed, as NixOS tells it in a switch: a unit that was started in vain too
  # often, under the version or the name before, is refused otherwise, also when the
  # node goes back to what was good.
  environmentScript = { bin, user, environment }: logged {
    inherit bin;
    name = user;
    setup = session user environment;
    logs = ''"${paths.userLogs}"'';
    scope = "--user";
    command = ''
      ${bin}timeout 10 systemctl --user reset-failed >/dev/null 2>&1 || true
      "$PROFILE/bin/activate"'';
  };

  # systemScript: the activation of a node. systemd-boot's `default` names an
  # entry by a store path, which is none of those in deploy-rs's profiles;
  # without it systemd-boot takes the newest one.
  systemScript = { bin, sed, config }:
    let loader = config.boot.loader or { }; in
    logged {
      inherit bin;
      name = "system";
      logs = quote paths.systemLogs;
      scope = "--system";
      command = ''
        cd /
        "$PROFILE/bin/switch-to-configuration" switch
        ${if loader.systemd-boot.enable or false
        then "${sed}sed -i -e '/^default[[:blank:]]/d' ${quote "${loader.efi.efiSysMountPoint}/loader/loader.conf"}"
        else ""}'';
    };

  specOf = { plan, systems, packages, activate, pkgsFor ? null, ... }:
    let
      deployUser =
        if is.user (plan.deployUser or null) then plan.deployUser
        else
          fail {
            subject = "deploy specification";
            problem = "deployUser is ${builtins.toJSON (plan.deployUser or null)}, which is no user name";
            hint = "set provider.deployUser to a name of a-z, 0-9, - and _, and run `mage plan`";
          };

      nodeOf = name: _:
        let
          connection = connectionOf name;
          system = connection.system or "x86_64-linux";
          users = filter (user: onNode name plan.environments.${user}) (attrNames plan.environments);
        in
        if ! is.node name then
          fail {
            subject = "node ${builtins.toJSON name}";
            problem = "deploy-rs cannot deploy to a node of this name";
            hint = "use labels of letters, digits and hyphens, with dots between them and a letter in one of them";
          }
        else
          target name connection
          // only [ "autoRollback" "magicRollback" ] connection
          # deploy-rs reads remoteBuild; its interface.json does not tell of it.
          // (if connection.remoteBuild or false then { remoteBuild = true; } else { })
          // {
            profilesOrder = [ "system" ] ++ users;
            profiles = { system = systemProfile name connection system; }
              // listToAttrs (map (user: { name = user; value = environmentProfile name connection system user; }) users);
          };

      onNode = node: environment: environment.enable or true && environment.node == node;

      connectionOf = node:
        let
          connection = plan.nodeConnections.${node} or (fail {
            subject = "node ${node}";
            problem = "the plan does not say how it is reached";
            hint = "run `mage plan`";
          });
          temp = paths.temp connection;
        in
        if is.plainPath temp then connection
        else
          fail {
            subject = "node ${node}";
            problem = "tempPath is ${builtins.toJSON temp}, which is no plain absolute path";
            hint = "set provider.nodes.${builtins.toJSON node}.tempPath to one of letters, digits, dots, hyphens and slashes";
          };

      # binOf "coreutils" platform: the prefix of its programs.
      binOf = package: system: if pkgsFor == null then "" else "${(pkgsFor system).${package}}/bin/";

      systemProfile = node: connection: system:
        let
          base = systems.${node} or (fail {
            subject = "node ${node}";
            problem = "there is no NixOS configuration for it";
            hint = "the systems must have every node of the plan: ${concatStringsSep ", " (attrNames plan.nodes)}";
          });
          inherit (activate system) custom nixos;
          script = systemScript {
            bin = binOf "coreutils" system;
            sed = binOf "gnused" system;
            inherit (base) config;
          };
          switch = verb: ''"$PROFILE/bin/switch-to-configuration" ${verb}'';
        in
        {
          user = "root";
          sshUser = deployUser;
          profilePath = paths.systemProfile;
          tempPath = paths.temp connection;
          # deploy-rs's `nixos` switches without a log. Its `custom` takes the
          # verbs for --dry-activate and --boot as attributes; what stands in
          # for it may be a mere function, which cannot.
          path = builtins.addErrorContext "while evaluating the profile of node ${node}" "${
            if isAttrs custom
            then (custom // { dryActivate = switch "dry-activate"; boot = switch "boot"; }) base.config.system.build.toplevel script
            else nixos base
          }";
        };

      environmentProfile = node: connection: system: user:
        let
          environment = plan.environments.${user};
          ref = environment.hostenv.userName or user;
          refuse = problem: fail {
            subject = "environment ${builtins.toJSON user} on node ${node}";
            inherit problem;
            hint = "run `mage plan`: generated/plan.json is not to be written by hand";
          };
          package = packages.${user} or (refuse "there is no package of it");
        in
        if ! is.user user then refuse "its name is no user name"
        else if elem user [ "root" "system" deployUser ] then refuse "an environment cannot be the user ${user}"
        else if ref != user then refuse "its hostenv.userName is ${builtins.toJSON ref}"
        else if ! environment ? uid then refuse "it has no uid"
        else {
          inherit user;
          sshUser = deployUser;
          profilePath = paths.profile user;
          tempPath = paths.userTemp connection user;
          path = builtins.addErrorContext "while evaluating the profile of environment ${user} on node ${node}"
            "${(activate system).custom package (environmentScript { bin = binOf "coreutils" system; inherit user environment; })}";
        };
    in
    { nodes = mapAttrs nodeOf plan.nodes; };

  # target: the host name and the options of ssh.
  #
  # deploy-rs gives the options one by one to ssh, and joined by spaces to Nix,
  # which up to 2.26 splits them at every space: no option may hold one. What
  # the plan says of the host key comes first, and so wins over sshOpts: of each
  # option ssh takes the first.
  target = node: connection:
    let
      hostname =
        if is.address connection.hostname then connection.hostname
        else
          fail {
            subject = "node ${node}";
            problem = "its address is ${builtins.toJSON connection.hostname}, neither a host name nor an IP address";
            hint = "set provider.nodes.${builtins.toJSON node}.address, and run `mage plan`";
          };
      # ssh takes a bare IPv6 address, a store's URI does not.
      isAddress6 = contains ":" hostname;
      own = connection.sshOpts or [ ];
      spaced = filter (option: ! isOneWord option) own;
    in
    if spaced != [ ] then
      fail
        {
          subject = "node ${node}";
          problem = "sshOpts holds ${concatStringsSep ", " (map builtins.toJSON spaced)}, and Nix splits ssh's options at every space";
          hint = "write [ \"-o\" \"Option=value\" ] with a value without spaces, or put the option into a file and name that: [ \"-F\" \"/path/to/ssh_config\" ]";
        }
    else {
      hostname = if isAddress6 then node else hostname;
      sshOpts = concatLists [
        (if connection ? hostKey then pinned node connection.hostKey else [ ])
        (if isAddress6 then [ "-o" "HostName=${replaceStrings [ "%" ] [ "%%" ] hostname}" ] else [ ])
        (if connection ? sshPort then [ "-p" (toString connection.sshPort) ] else [ ])
        own
      ];
    };

  # pinned: the options by which ssh accepts this key of the host and no other,
  # whatever the machine knew that deploys. The key's file is in the store: it
  # is no secret, and nobody can change it.
  pinned = node: key:
    if ! is.publicKey key then
      fail
        {
          subject = "node ${node}";
          problem = "hostKey is ${builtins.toJSON key}, which is no public key";
          hint = "set provider.nodes.${builtins.toJSON node}.hostKey to the line that `ssh-keyscan -t ed25519 HOST` prints, without the host";
        }
    else
      concatLists (map (option: [ "-o" option ]) [
        "HostKeyAlias=${node}"
        "UserKnownHostsFile=${builtins.toFile "known-hosts" "${node} ${key}\n"}"
        "GlobalKnownHostsFile=/dev/null"
        "StrictHostKeyChecking=yes"
        "UpdateHostKeys=no"
      ]);

  # only names set: those of the attributes that it has.
  only = names: set: listToAttrs (map (name: { inherit name; value = set.${name}; }) (filter (name: set ? ${name}) names));
in
{
  inherit specOf paths;
}
