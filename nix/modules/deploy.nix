# The user that systems are deployed by: who logs in, and where deploy-rs keeps
# its files. What he may do as root is in sudo.nix.
{ config, lib, ... }:
let
  inherit (lib) mkDefault mkOption types;
  cfg = config.hostenv.deploy;
  isEnvironment = config.hostenv.environments ? ${cfg.user};
in
{
  options.hostenv.deploy = {
    user = mkOption {
      type = types.strMatching "[a-z0-9][a-z0-9_-]{0,30}";
      default = "deploy";
      example = "deploy";
      description = "The user that logs in to deploy the system. `provider.deployUser` sets it.";
    };
    publicKeys = mkOption {
      type = types.listOf types.singleLineStr;
      default = [ ];
      example = [ "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA... deploy@hosting.example" ];
      description = "The ssh keys that may log in as that user. `provider.deployPublicKeys` sets it.";
    };
    tempPath = mkOption {
      type = types.strMatching "/[A-Za-z0-9._/-]+";
      default = (import ../lib/nodes.nix).tempPath.system;
      example = "/run/hostenv-deploy";
      description = ''
        The folder where deploy-rs confirms that a system was activated. Root alone may enter it, for the name of the
        file there can be foretold: in a folder that others write to, one of them could block or feign the
        confirmation. `provider.nodes.<node>.tempPath` sets it.
      '';
    };
  };

  config = {
    assertions = [
      {
        assertion = cfg.user != "root";
        message = "hostenv.deploy.user is root, who cannot log in here: set provider.deployUser to a user of its own, such as \"deploy\"";
      }
      {
        assertion = ! isEnvironment;
        message = "hostenv.deploy.user is ${cfg.user}, which is an environment of this node: set provider.deployUser to another name";
      }
      {
        assertion = ! lib.elem cfg.tempPath [ "/tmp" "/var/tmp" "/run" "/dev/shm" ];
        message = "hostenv.deploy.tempPath is ${cfg.tempPath}, which others use: name a folder that deploy-rs has for itself, such as /run/hostenv-deploy, in provider.nodes.<node>.tempPath";
      }
    ];

    # A name that is refused above is another's, whose definitions these would
    # clash with before anything is said.
    users = lib.mkIf (cfg.user != "root" && ! isEnvironment) {
      # A system user, whose UID NixOS takes from below 1000: that of a normal
      # user could be one that the plan gives to an environment.
      users.${cfg.user} = {
        isSystemUser = mkDefault true;
        description = mkDefault "deploys the system";
        group = mkDefault cfg.user;
        home = mkDefault "/var/lib/${cfg.user}";
        createHome = mkDefault true;
        useDefaultShell = mkDefault true;
        openssh.authorizedKeys.keys = cfg.publicKeys;
      };
      groups.${cfg.user} = { };

      # Who can deploy is not locked out, though root has no password and nobody
      # is in the group wheel.
      allowNoPasswordLogin = mkDefault (cfg.publicKeys != [ ]);
    };

    systemd.tmpfiles.settings."10-hostenv-deploy".${cfg.tempPath}.d = {
      mode = mkDefault "0700";
      user = mkDefault "root";
      group = mkDefault "root";
    };
  };
}
