# The front door: nginx takes every request of the node, and passes it to the
# nginx of the environment whose virtual host it is for. The virtual hosts are
# in the plan's nodes.<node>; http://<user>_upstream in them is made here.
{ config, lib, ... }:
let
  inherit (lib) mkDefault;
in
{
  services.nginx = {
    enable = mkDefault true;
    # A deployment must not cut off requests of environments that it does not touch.
    enableReload = mkDefault true;

    recommendedProxySettings = mkDefault true;
    recommendedTlsSettings = mkDefault true;
    recommendedOptimisation = mkDefault true;
    recommendedGzipSettings = mkDefault true;
    serverTokens = mkDefault false;

    # Host names of environments are long. The body's limit is that of hostenv's
    # own nginx: a smaller one here would cut off what an environment takes.
    serverNamesHashBucketSize = mkDefault 128;
    clientMaxBodySize = mkDefault "100m";

    eventsConfig = mkDefault ''
      worker_connections 4096;
    '';
    # A second directive of one name would be refused: whoever adds one says all.
    appendConfig = mkDefault ''
      worker_processes auto;
      worker_rlimit_nofile 16384;
    '';

    upstreams = lib.mapAttrs'
      (user: _: lib.nameValuePair "${user}_upstream" {
        servers."unix:/run/hostenv/nginx/${user}/in.sock" = { };
      })
      config.hostenv.environments;
  };
}
