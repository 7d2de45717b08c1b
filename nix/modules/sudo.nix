# The commands that the deploy user may run as root and as an environment's user: those
# that deploy-rs runs for their profiles, and those that roll back where deploy-rs does
# not. docs/nodes.md explains each, and why these rules are no boundary against the
# holder of the deploy key.
{ config, lib, ... }:
let
  inherit (lib) mkDefault mkOption types;
  cfg = config.hostenv.deploy;

  bin = "/run/current-system/sw/bin";

  # Regular expressions of sudoers(5), from 1.9.10 on: in the older patterns of
  # sudo a `*` among the arguments stands for any number of them.
  storePath = "/nix/store/[0-9a-df-np-sv-z]{32}-[0-9A-Za-z+._?=-]+";
  literally = lib.replaceStrings [ "." ] [ "[.]" ];
  rule = command: arguments: "^${command}$ ^${arguments}$";

  # What deploy-rs runs for a profile.
  commandsFor = { profile, temp }: [
    # activates, now or with --boot for the next start
    (rule "${storePath}/activate-rs" "activate ${storePath} --profile-path ${profile} --temp-path ${literally temp} --confirm-timeout [0-9]+( --magic-rollback)?( --auto-rollback)?( --dry-activate)?( --boot)?")
    # waits until the activation has ended
    (rule "${storePath}/activate-rs" "wait ${storePath} --temp-path ${literally temp}( --activation-timeout [0-9]+)?")
    # goes back to the generation before
    (rule "${storePath}/activate-rs" "revoke --profile-path ${profile}")
    # confirms over a new connection that the node can be reached
    (rule "${literally bin}/rm" "${literally temp}/deploy-rs-canary-[0-9a-z]{32}")
    # sets the generation before by its store path, which deploy-rs does not do
    (rule "${literally bin}/nix-env" "-p ${profile} --set ${storePath}")
  ];

  # Moves an environment's data to another node or from it, see move.nix.
  backup = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}";
  move = rule "${literally bin}/hostenv-move" "((backup|holds) ${backup}|snapshots ${backup} (tagged|all)|journal ${backup} [0-9]{1,12}|plan [0-9]{1,6}|discard)";

  # Stops the units of an environment that has no version any more, see units.nix.
  units = rule "${literally bin}/hostenv-units" "stop";

  # Lists and removes the files of former environments, see users.nix.
  leftovers = rule "${literally bin}/hostenv-users" "(list|remove [a-z0-9][a-z0-9_-]{0,30} [1-9][0-9]{0,8})";
in
{
  options.hostenv.deploy.sudoCommands = mkOption {
    type = types.attrsOf (types.listOf types.singleLineStr);
    default = {
      root = commandsFor { profile = cfg.profileLink; temp = cfg.tempPath; }
        # A system that deploy-rs did not deploy has no activate-rs.
        ++ [ (rule "${storePath}/bin/switch-to-configuration" "(switch|boot|dry-activate)") leftovers ];
    }
    // lib.mapAttrs
      (_: e: commandsFor { profile = e.profileLink; temp = e.tempPath; }
        ++ [
        # A failed first activation leaves a profile without a generation to go back
        # to: we remove its link. We never remove the system's.
        (rule "${literally bin}/rm" e.profileLink)
        units
        move
      ])
      config.hostenv.environments;
    defaultText = lib.literalMD "the commands of deploy-rs for the profiles of the system and of each environment, those that go back to an older one by its path, or to none, `hostenv-move`, `hostenv-units` and `hostenv-users`";
    example = { root = [ "/run/current-system/sw/bin/reboot" ]; };
    description = ''
      Commands that the deploy user may run without a password, as sudoers(5) writes them, by the user that they run as.
      A node that sets this replaces them all; `security.sudo.extraRules` adds others.
    '';
  };

  config = lib.mkIf (cfg.sudoCommands != { }) {
    assertions = [
      {
        assertion = config.security.sudo.enable && ! config.security.sudo.execWheelOnly;
        message = "hostenv.deploy.user (${cfg.user}) cannot deploy without sudo: set security.sudo.enable = true and security.sudo.execWheelOnly = false, or hostenv.deploy.sudoCommands = { } if another program deploys the node; sudo-rs cannot match the arguments of a command by a pattern";
      }
    ];

    security.sudo = {
      enable = mkDefault true;
      extraRules = lib.mapAttrsToList
        (runAs: commands: {
          users = [ cfg.user ];
          inherit runAs;
          commands = map (command: { inherit command; options = [ "NOPASSWD" "NOSETENV" ]; }) commands;
        })
        cfg.sudoCommands;
      # activate-rs finds nix-env by PATH, which must not be the deploy user's.
      extraConfig = ''
        Defaults:${cfg.user} secure_path="/run/wrappers/bin:${bin}"
      '';
    };
  };
}
