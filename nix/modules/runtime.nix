# The folders where environments and the front door meet: /run/hostenv/user/<u>
# is the environment's own, in /run/hostenv/nginx/<u> it makes the socket that
# nginx connects to. The sticky group (2770) gives that socket to nginx's group.
{ config, lib, ... }:
let
  inherit (lib) mapAttrsToList;
  inherit (config.hostenv) environments;
  paths = import ../lib/paths.nix;
  folder = import ./folder.nix { inherit lib; };

  # The environment's own word for a folder, where it has one.
  differs = user: e: option: path: {
    assertion = e.hostenv.${option} == null || e.hostenv.${option} == path;
    message = "generated/plan.json: environments.${user}.hostenv.${option} is ${toString e.hostenv.${option}}, and a node has ${path} for it: leave hostenv.runtimeRoot at its default";
  };
in
{
  assertions = lib.concatLists (mapAttrsToList
    (user: e: [
      (differs user e "runtimeDir" (paths.runtime user))
      (differs user e "upstreamRuntimeDir" (paths.upstream user))
    ])
    environments);

  systemd.tmpfiles.settings."10-hostenv" = {
    "/run/hostenv" = folder "0755" "root" "root";
    "/run/hostenv/nginx" = folder "0755" "root" "root";
    "/run/hostenv/user" = folder "0755" "root" "root";
  }
  // lib.mapAttrs' (user: _: lib.nameValuePair (paths.upstream user) (folder "2770" user config.services.nginx.group)) environments
  // lib.mapAttrs' (user: _: lib.nameValuePair (paths.runtime user) (folder "2700" user "users")) environments;
}
