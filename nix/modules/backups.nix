# The secrets of backups: an environment that makes backups finds its passphrase and
# its credentials in /run/secrets/<user>. In the sops file they belong to the
# environment, its project or its organisation.
{ config, lib, options, ... }:
let
  inherit (lib) concatMap mkOption types;
  secrets = import ../lib/secrets.nix;
  sops = import ./sops-secret.nix { inherit lib; };
  inherit (config.hostenv) environments nodeName;
  file = config.hostenv.secrets;
  cfg = config.hostenv.backups;

  needed = concatMap
    (user: map
      (secret: {
        inherit user secret;
        environment = environments.${user}.hostenv;
        key = secrets.resolve file.keys environments.${user}.hostenv secret;
      })
      [ "backups_env" "backups_secret" ])
    (lib.filter (user: environments ? ${user}) cfg.users);

  unknown = lib.filter (user: ! environments ? ${user}) cfg.users;
  missing = lib.filter (s: s.key == null) needed;
  wanted = map (s: "${s.user}: ${secrets.wanted s.environment s.secret}");

  complaint = secrets.complaint {
    needs = "environments on ${nodeName} make backups";
    named = "the environments ${lib.concatStringsSep ", " (lib.unique (map (s: s.user) needed))} on ${nodeName} make backups";
    for = "the backups of environments on ${nodeName}";
    all = wanted needed;
    missing = wanted missing;
    inherit file;
    inherit (file) known;
    hasSops = options ? sops;
  };
in
{
  options.hostenv.backups.users = mkOption {
    type = types.listOf types.str;
    default = lib.attrNames (lib.filterAttrs (_: e: e.hostenv.backupsRepoHost != null) environments);
    defaultText = lib.literalMD "the environments whose `hostenv.backupsRepoHost` is set";
    example = [ "site-main-b7ea262" ];
    description = "The environments on this node that get secrets for backups, by user name.";
  };

  config = {
    assertions = [
      { assertion = complaint == null; message = toString complaint; }
      {
        assertion = unknown == [ ];
        message = "hostenv.backups.users names ${lib.concatStringsSep ", " unknown}, and ${nodeName} has no such environment";
      }
    ];
  } // lib.optionalAttrs (options ? sops) {
    # sops-nix chooses the path by the name. A path that a customer's environment
    # chooses would be unsafe, because root makes a link there.
    sops.secrets = lib.listToAttrs (map
      (s: lib.nameValuePair "${s.user}/${s.secret}" (sops.secret { inherit (file) file; inherit (s) key; owner = s.user; }))
      (lib.filter (s: s.key != null && file.file != null) needed));
  };
}
