# Each environment has a /tmp and a /var/tmp of its own, the same in its sessions,
# services and activations. Programs write there with modes by which others can read,
# and names there can be guessed and taken before.
#
# PAM does it (pam_namespace), for whatever opens a session of the user: sshd, sudo and
# the user's systemd. PrivateTmp= would hold for the user's systemd alone, so that a
# session and a service would have different files.
{ config, lib, ... }:
let
  inherit (lib) attrNames concatMapStrings genAttrs mkIf;
  inherit (config.hostenv) environments;
  paths = import ../lib/paths.nix;
  folder = import ./folder.nix { inherit lib; };

  pam = service: {
    rules.session.hostenv-tmp = {
      order = config.security.pam.services.${service}.rules.session.systemd.order + 20;
      control = "required";
      modulePath = "${config.security.pam.package}/lib/security/pam_namespace.so";
      # Mounts of a session stay in it, and those of the node come to it. They end with
      # the last process, which can stay longer than the session.
      args = [ "mount_private" "no_unmount_on_close" ];
    };
  };
in
mkIf (environments != { }) {
  # A line says: this folder, by the user's name, for this user alone.
  environment.etc."security/namespace.conf".text = concatMapStrings
    (user: ''
      /tmp ${paths.ownTmp}/tmp- user ~${user}
      /var/tmp ${paths.ownTmp}/var-tmp- user ~${user}
    '')
    (attrNames environments);

  # pam_namespace wants a folder that no user can enter.
  systemd.tmpfiles.settings."10-hostenv" = {
    ${paths.ownTmp} = folder "0000" "root" "root";
    # As long as systemd keeps files in the node's own.
    "${paths.ownTmp}/tmp-*".e = { mode = "1777"; user = "root"; group = "root"; age = "10d"; };
    "${paths.ownTmp}/var-tmp-*".e = { mode = "1777"; user = "root"; group = "root"; age = "30d"; };
  };

  security.pam.services = genAttrs [ "sshd" "sudo" "systemd-user" ] pam;
}
