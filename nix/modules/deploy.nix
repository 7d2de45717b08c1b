# The deploy user, with its ssh keys, and the folders that deploy-rs needs (see
# ../lib/paths.nix). sudo.nix says what it may do as other users.
{ config, lib, ... }:
let
  inherit (lib) mkDefault mkOption types;
  paths = import ../lib/paths.nix;
  name = import ../lib/name-type.nix lib;
  inherit (config.hostenv) environments;
  cfg = config.hostenv.deploy;

  each = f: lib.mapAttrs' (user: _: f user) environments;
  folder = import ./folder.nix { inherit lib; };
  isEnvironment = environments ? ${cfg.user};
in
{
  options.hostenv.deploy = {
    user = mkOption {
      type = name.user;
      default = (import ../lib/provider-defaults.nix).plain.deployUser;
      example = "deploy";
      description = "The user that logs in to deploy. `provider.deployUser` sets it.";
    };
    publicKeys = mkOption {
      type = types.listOf types.singleLineStr;
      default = [ ];
      example = [ "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA... deploy@hosting.example" ];
      description = "The ssh keys that may log in as that user. `provider.deployPublicKeys` sets it.";
    };
    tempPath = mkOption {
      type = name.plainPath;
      default = paths.temp;
      example = "/run/hostenv/deploy";
      description = ''
        The folder of the files by which deploy-rs confirms an activation: the system's file is in the folder itself, the
        file of an environment in a folder of its own below. The names of the files are predictable: a user who may write
        there could block or fake the confirmation. `provider.nodes.<node>.tempPath` sets it through the plan, and
        `mage deploy` uses the plan's value.
      '';
    };
  };

  config = {
    assertions = [
      {
        assertion = cfg.user != "root";
        message = "hostenv.deploy.user is root, which cannot log in here: set provider.deployUser to a user of its own, such as \"deploy\"";
      }
      {
        assertion = ! isEnvironment;
        message = "hostenv.deploy.user is ${cfg.user}, which is an environment of this node: set provider.deployUser to another name";
      }
      {
        assertion = ! lib.elem cfg.tempPath [ "/tmp" "/var/tmp" "/run" "/dev/shm" ];
        message = "hostenv.deploy.tempPath is ${cfg.tempPath}, which other programs use: set provider.nodes.<node>.tempPath to a folder for deploy-rs alone, such as /run/hostenv/deploy";
      }
    ];

    # A name that is refused above belongs to another user. These definitions would
    # conflict with that user's, and NixOS would report the conflict only.
    users = lib.mkIf (cfg.user != "root" && ! isEnvironment) {
      # A system user has a UID below 1000. NixOS could give a normal user a UID
      # that the plan gives to an environment.
      users.${cfg.user} = {
        isSystemUser = mkDefault true;
        description = mkDefault "deploys the system and environments";
        group = mkDefault cfg.user;
        home = mkDefault "/var/lib/${cfg.user}";
        createHome = mkDefault true;
        useDefaultShell = mkDefault true;
        openssh.authorizedKeys.keys = cfg.publicKeys;
      };
      groups.${cfg.user} = { };

      # The deploy user can log in, although root has no password and the group
      # wheel has no member.
      allowNoPasswordLogin = mkDefault (cfg.publicKeys != [ ]);
    };

    systemd.tmpfiles.settings."10-hostenv-deploy" =
      { ${cfg.tempPath} = folder "0711" "root" "root"; }
      // each (user: lib.nameValuePair (paths.userTemp { inherit (cfg) tempPath; } user) (folder "0700" user user))
      // each (user: lib.nameValuePair (dirOf (paths.profile user)) (folder "0755" user user));
  };
}
