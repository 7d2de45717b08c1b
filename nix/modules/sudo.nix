# What the deploy user may do as root: the commands that deploy-rs gives for the
# system's profile, word for word, and the two that bring back a system which
# deploy-rs did not bring. docs/nodes.md explains each, and what this rule is
# not: a boundary against whoever has the deploy key.
{ config, lib, ... }:
let
  inherit (lib) mkDefault mkOption types;
  cfg = config.hostenv.deploy;

  bin = "/run/current-system/sw/bin";
  systemProfile = "/nix/var/nix/profiles/system";

  # Regular expressions of sudoers(5), from 1.9.10 on: in the older patterns of
  # sudo a `*` among the arguments stands for any number of them.
  storePath = "/nix/store/[0-9a-df-np-sv-z]{32}-[0-9A-Za-z+._?=-]+";
  literally = lib.replaceStrings [ "." ] [ "[.]" ];
  tempPath = literally cfg.tempPath;
  rule = command: arguments: "^${command}$ ^${arguments}$";
in
{
  options.hostenv.deploy.sudoCommands = mkOption {
    type = types.listOf types.singleLineStr;
    default = [
      # deploy-rs: activation, for now or with --boot for the next start
      (rule "${storePath}/activate-rs" "activate ${storePath} --profile-path ${systemProfile} --temp-path ${tempPath} --confirm-timeout [0-9]+( --magic-rollback)?( --auto-rollback)?( --dry-activate)?( --boot)?")
      # deploy-rs: waits until the other one is done
      (rule "${storePath}/activate-rs" "wait ${storePath} --temp-path ${tempPath}( --activation-timeout [0-9]+)?")
      # deploy-rs: goes back to the generation before
      (rule "${storePath}/activate-rs" "revoke --profile-path ${systemProfile}")
      # deploy-rs: confirms over a new connection that the node can be reached
      (rule "${literally bin}/rm" "${tempPath}/deploy-rs-canary-[0-9a-z]{32}")
      # goes back to a system by its path, also to one that deploy-rs did not bring
      (rule "${literally bin}/nix-env" "-p ${systemProfile} --set ${storePath}")
      (rule "${storePath}/bin/switch-to-configuration" "(switch|boot|dry-activate)")
    ];
    defaultText = lib.literalMD "the commands of deploy-rs for the system's profile, and those that restore a system by its path";
    example = [ "/run/current-system/sw/bin/reboot" ];
    description = ''
      Commands that the deploy user may run as root without a password, as sudoers(5) writes them. A node that sets this
      replaces them all; `security.sudo.extraRules` adds others.
    '';
  };

  config = lib.mkIf (cfg.sudoCommands != [ ]) {
    assertions = [
      {
        assertion = config.security.sudo.enable && ! config.security.sudo.execWheelOnly;
        message = "hostenv.deploy.user (${cfg.user}) cannot deploy without sudo: set security.sudo.enable = true and security.sudo.execWheelOnly = false, or hostenv.deploy.sudoCommands = [ ] on a node that is deployed otherwise; sudo-rs has no rules that hold a command to its arguments by a pattern";
      }
    ];

    security.sudo = {
      enable = mkDefault true;
      extraRules = [
        {
          users = [ cfg.user ];
          runAs = "root";
          commands = map (command: { inherit command; options = [ "NOPASSWD" "NOSETENV" ]; }) cfg.sudoCommands;
        }
      ];
      # activate-rs finds nix-env by PATH, which must not be the deploy user's.
      extraConfig = ''
        Defaults:${cfg.user} secure_path="/run/wrappers/bin:${bin}"
      '';
    };
  };
}
