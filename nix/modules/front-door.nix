# The front door: nginx takes every request to the node, and passes it to the nginx of
# the environment that has the virtual host. The plan's nodes.<node> has the virtual
# hosts; this module makes the upstreams, http://<user>_upstream.
{ config, lib, ... }:
let
  inherit (lib) mkDefault mkOption toInt types;
  cfg = config.hostenv.frontDoor;
  nginx = config.services.nginx;

  size = types.strMatching "[1-9][0-9]*[kKmM]?";

  # bytes "128k" is 131072.
  bytes = text:
    let parts = builtins.match "([0-9]+)([kKmM]?)" text;
    in toInt (lib.head parts) * { "" = 1; k = 1024; m = 1024 * 1024; }.${lib.toLower (lib.last parts)};

  # nginx sends from buffers of twice the larger size while it fills the others. With
  # fewer buffers it refuses its whole configuration.
  buffers = cfg.proxyBuffers.number * bytes cfg.proxyBuffers.size;
  busy = 2 * lib.max (bytes cfg.proxyBufferSize) (bytes cfg.proxyBuffers.size);
in
{
  options.hostenv.frontDoor = {
    clientMaxBodySize = mkOption {
      type = types.strMatching "[0-9]+[kKmMgG]?";
      default = "2G";
      example = "10G";
      description = ''
        The largest body of a request; 0 for no limit. An environment may have a smaller limit.
        `services.nginx.clientMaxBodySize` overrides it.
      '';
    };
    proxyTimeout = mkOption {
      type = types.strMatching "[1-9][0-9]*(ms|s|m|h)?";
      default = "600s";
      example = "60s";
      description = ''
        How long an environment may send no data before the visitor gets an error. `services.nginx.proxyTimeout`
        overrides it.
      '';
    };
    proxyBufferSize = mkOption {
      type = size;
      default = "128k";
      example = "16k";
      description = "The largest size of the headers of an answer, with cookies.";
    };
    proxyBuffers = {
      number = mkOption {
        type = types.ints.between 2 1024;
        default = 4;
        example = 8;
        description = "The largest number of buffers of a connection to an environment.";
      };
      size = mkOption {
        type = size;
        default = "256k";
        example = "16k";
        description = "The size of each of these buffers.";
      };
    };
  };

  config = {
    assertions = [
      {
        assertion = busy <= buffers - bytes cfg.proxyBuffers.size;
        message = "hostenv.frontDoor: nginx needs proxyBuffers of ${toString busy} bytes and one more, and has ${toString cfg.proxyBuffers.number} of ${cfg.proxyBuffers.size} with proxyBufferSize = \"${cfg.proxyBufferSize}\": set proxyBuffers.number higher, or proxyBufferSize lower";
      }
    ];

    services.nginx = {
      enable = mkDefault true;
      # A deployment must not cut off requests of environments that it does not touch.
      enableReload = mkDefault true;

      recommendedProxySettings = mkDefault true;
      recommendedTlsSettings = mkDefault true;
      recommendedOptimisation = mkDefault true;
      recommendedGzipSettings = mkDefault true;
      serverTokens = mkDefault false;

      # Host names of environments are long.
      serverNamesHashBucketSize = mkDefault 128;

      # Environments decide what they accept, so these limits are high.
      clientMaxBodySize = mkDefault cfg.clientMaxBodySize;
      proxyTimeout = mkDefault cfg.proxyTimeout;
      commonHttpConfig = ''
        proxy_buffer_size ${cfg.proxyBufferSize};
        proxy_buffers ${toString cfg.proxyBuffers.number} ${cfg.proxyBuffers.size};
      ''
      # NixOS's recommended settings hold these, and nginx refuses a second one.
      + lib.optionalString (! nginx.recommendedProxySettings) ''
        proxy_connect_timeout ${nginx.proxyTimeout};
        proxy_send_timeout ${nginx.proxyTimeout};
        proxy_read_timeout ${nginx.proxyTimeout};
      '';

      eventsConfig = mkDefault ''
        worker_connections 4096;
      '';
      # nginx refuses a second directive of one name: a node that sets one must set all.
      appendConfig = mkDefault ''
        worker_processes auto;
        worker_rlimit_nofile 16384;
      '';

      upstreams = lib.mapAttrs'
        (user: _: lib.nameValuePair "${user}_upstream" {
          servers."unix:${(import ../lib/paths.nix).upstream user}/in.sock" = { };
        })
        config.hostenv.environments;
    };
  };
}
