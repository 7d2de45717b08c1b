# Metrics of the node for Prometheus, if the provider enables them.
{ config, lib, ... }:
let
  inherit (lib) mkDefault mkIf mkOption types;
  cfg = config.hostenv.monitoring;
in
{
  options.hostenv.monitoring = {
    enable = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = "Whether the node serves its metrics to Prometheus, on the loopback interface only.";
    };
    port = mkOption {
      type = types.port;
      default = 9100;
      example = 19100;
      description = "The port of 127.0.0.1 for the metrics.";
    };
  };

  config.services.prometheus.exporters.node = mkIf cfg.enable {
    enable = mkDefault true;
    listenAddress = mkDefault "127.0.0.1";
    port = mkDefault cfg.port;
    openFirewall = mkDefault false;
    # The slices and services of environments, by name.
    enabledCollectors = mkDefault [ "systemd" ];
  };
}
