# The deploy user, with its ssh keys, and the folders of the plan that deploy-rs needs.
# sudo.nix has the commands that it may run as other users.
{ config, lib, ... }:
let
  inherit (lib) mkDefault mkOption types;
  paths = import ../lib/paths.nix;
  name = import ../lib/name-type.nix lib;
  inherit (config.hostenv) environments;
  cfg = config.hostenv.deploy;

  each = f: lib.mapAttrs' f environments;
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
    profileLink = mkOption {
      type = name.plainPath;
      default = paths.systemProfile;
      example = "/nix/var/nix/profiles/system";
      description = "The link to the system that is active, beside its generations. The plan sets it.";
    };
    tempPath = mkOption {
      type = name.plainPath;
      default = paths.temp;
      example = "/run/hostenv/deploy";
      description = ''
        The folder of the files by which deploy-rs confirms an activation: the system's file is in the folder itself, the
        file of an environment in its own folder below. The names of the files are predictable: a user that can write
        there can block or fake the confirmation. `provider.nodes.<node>.tempPath` sets it through the plan, and
        `mage deploy` uses the plan's value.
      '';
    };
  };

  config = {
    assertions = [
      {
        assertion = cfg.user != "root";
        message = "hostenv.deploy.user is root, which cannot log in here: set provider.deployUser to a separate user, such as \"deploy\"";
      }
      {
        assertion = ! isEnvironment;
        message = "hostenv.deploy.user is ${cfg.user}, which is an environment of this node: set provider.deployUser to another name";
      }
      {
        assertion = ! lib.elem cfg.tempPath [ "/tmp" "/var/tmp" "/run" "/dev/shm" ];
        message = "hostenv.deploy.tempPath is ${cfg.tempPath}, which other programs use: set provider.nodes.<node>.tempPath to a folder for deploy-rs alone, such as /run/hostenv/deploy";
      }
    ]
    # Sessions and hostenv-move find the profile by the name of their user.
    ++ lib.mapAttrsToList
      (user: e: {
        assertion = e.profileLink == paths.profile user;
        message = "generated/plan.json: profiles.${user}.profileLink is ${e.profileLink}, and a session finds the environment at ${paths.profile user}: run `mage plan`, of the same version as the input hostenv-provider";
      })
      environments;

    # A name that is refused above belongs to another user, whose definitions would
    # conflict with these: NixOS would report only the conflict.
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
      // each (user: e: lib.nameValuePair e.tempPath (folder "0700" user user))
      // each (user: e: lib.nameValuePair (dirOf e.profileLink) (folder "0755" user user));
  };
}
