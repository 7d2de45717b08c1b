# The folders of the sockets between environments and the front door.
# /run/hostenv/user/<u> is private to the environment; in /run/hostenv/nginx/<u> it
# makes the socket that nginx connects to. The mode 2770 gives that socket to nginx's
# group.
#
# No link there is followed: with a link at its socket's name an environment could have
# nginx connect to the socket of another, or to any that nginx may use.
{ config, lib, ... }:
let
  inherit (config.hostenv) environments;
  paths = import ../lib/paths.nix;
  folder = import ./folder.nix { inherit lib; };
in
{
  systemd.tmpfiles.settings."10-hostenv" = {
    "/run/hostenv" = folder "0755" "root" "root";
    ${paths.upstreams} = folder "0755" "root" "root";
    ${paths.runtimes} = folder "0755" "root" "root";
  }
  // lib.mapAttrs' (user: _: lib.nameValuePair (paths.upstream user) (folder "2770" user config.services.nginx.group)) environments
  // lib.mapAttrs' (user: _: lib.nameValuePair (paths.runtime user) (folder "2700" user "users")) environments;

  # The folder is mounted on itself: sockets that are there stay.
  systemd.mounts = [
    {
      description = "Sockets of environments, without links";
      what = paths.upstreams;
      where = paths.upstreams;
      type = "none";
      options = "bind,nosymfollow,nosuid,nodev,noexec";
      unitConfig.DefaultDependencies = false;
      mountConfig.LazyUnmount = true;
      after = [ "systemd-tmpfiles-setup.service" ];
      conflicts = [ "umount.target" ];
      before = [ "nginx.service" "umount.target" ];
      wantedBy = [ "multi-user.target" ];
    }
  ];
}
