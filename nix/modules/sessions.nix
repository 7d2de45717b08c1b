# Sessions of environments' users, by ssh or in systemd, have the programs of the
# environment, and the folders that hostenv's activation needs. NixOS gives both to
# shells (/etc/set-environment) and to PAM (/etc/pam/environment), so that
# `ssh USER@NODE drush`, `systemd --user` and a login have the same.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mapAttrs mkDefault mkIf;
  paths = import ../lib/paths.nix;
  inherit (config.hostenv) environments;

  # quoted text: the text for double quotes of a shell, as `environment.variables` needs.
  quoted = lib.replaceStrings [ "\\" "\"" "$" "`" ] [ "\\\\" "\\\"" "\\$" "\\`" ];
in
{
  environment = {
    # The link of the profile that a deploy sets: the system must not depend on the
    # package, which is deployed separately. It comes after the profiles that the user
    # installs (`hostenv deploy` does), and before those of the system.
    profiles = mkIf (environments != { }) (lib.mkOrder 1200 [ (paths.profile "$USER") ]);

    sessionVariables = mapAttrs (_: mkDefault) {
      XDG_CACHE_HOME = "$HOME/.cache";
      XDG_CONFIG_HOME = "$HOME/.config";
      XDG_DATA_HOME = "$HOME/.local/share";
      XDG_STATE_HOME = "$HOME/.local/state";
    };

    # The environments of this node, for programs that monitor, by hostenv's name for
    # the variable.
    variables = mkIf config.hostenv.monitoring.enable {
      HOSTENV_ENVIRONMENTS_JSON = mkDefault (quoted (builtins.toJSON (mapAttrs
        (user: e: { env = user; inherit user; hostname = e.hostenv.hostname; })
        environments)));
    };

    # `hostenv deploy` copies a git repository to the node and builds it there.
    systemPackages = mkIf (environments != { }) [ pkgs.gitMinimal pkgs.rsync ];
  };

  # The user managers must run at the end of a switch, when environments are activated.
  # NixOS starts one for a user that begins to linger, but not for a user that a rolled
  # back system had removed and that lingers already.
  systemd.targets.multi-user.wants = lib.mapAttrsToList (_: e: "user@${toString e.uid}.service") environments;
}
