# Metrics of deploys and certificates, as a file for the textfile collector of
# Prometheus' node exporter: monitoring.nix's, or another one.
{ config, lib, pkgs, utils, ... }:
let
  inherit (lib) mkIf mkOption types;
  fill = import ../lib/fill.nix;
  name = import ../lib/name-type.nix lib;
  inherit (config.hostenv) monitoring;
  cfg = monitoring.textfile;
  state = "${config.users.users.${config.hostenv.deploy.user}.home}/.hostenv-deploy";

  program = pkgs.writeShellScriptBin "hostenv-metrics" (fill ./metrics.sh {
    path = lib.makeBinPath [ pkgs.coreutils pkgs.gnused pkgs.jq pkgs.openssl ] + ":/run/current-system/sw/bin";
    acme = "/var/lib/acme";
    node = pkgs.writeText "hostenv-metrics.json" (builtins.toJSON {
      environments = lib.attrNames config.hostenv.environments;
      certificates = lib.attrNames config.security.acme.certs;
    });
  });
in
{
  options.hostenv.monitoring.textfile = {
    enable = mkOption {
      type = types.bool;
      default = monitoring.enable;
      defaultText = lib.literalMD "`hostenv.monitoring.enable`";
      example = true;
      description = ''
        Whether the node writes metrics of its deploys and certificates to `hostenv.prom` in
        `hostenv.monitoring.textfile.folder`, after each deploy and every five minutes.
      '';
    };
    folder = mkOption {
      type = name.plainPath;
      default = "/var/lib/prometheus-node-exporter";
      example = "/var/lib/node-exporter/textfile";
      description = "The folder that the node exporter reads: its `--collector.textfile.directory`.";
    };
  };

  config = mkIf cfg.enable {
    services.prometheus.exporters.node.extraFlags = mkIf monitoring.enable [ "--collector.textfile.directory=${cfg.folder}" ];

    # The colons leave a folder that exists as it is.
    systemd.tmpfiles.settings."10-hostenv-metrics".${cfg.folder}.d = { mode = ":0755"; user = ":root"; group = ":root"; };

    systemd.services.hostenv-metrics = {
      description = "Metrics of deploys and certificates";
      serviceConfig = {
        Type = "oneshot";
        # A failed unit would make a switch fail at that time. The age of the file shows it.
        ExecStart = "-${program}/bin/hostenv-metrics ${utils.escapeSystemdExecArgs [ state "${cfg.folder}/hostenv.prom" ]}";
        TimeoutStartSec = "2min";
        ProtectSystem = "strict";
        ReadWritePaths = [ cfg.folder ];
        PrivateTmp = true;
        PrivateNetwork = true;
        NoNewPrivileges = true;
        # It reads files of the deploy user and of acme.
        CapabilityBoundingSet = [ "CAP_DAC_OVERRIDE" "CAP_DAC_READ_SEARCH" ];
      };
    };
    systemd.timers.hostenv-metrics = {
      description = "Metrics of deploys and certificates";
      wantedBy = [ "timers.target" ];
      timerConfig = { OnActiveSec = "1s"; OnUnitInactiveSec = "5min"; };
    };
    # A deploy writes these last.
    systemd.paths.hostenv-metrics = {
      description = "Records of deploys";
      wantedBy = [ "paths.target" ];
      pathConfig.PathChanged = [ "${state}/deploys" "${state}/plan" ];
    };
  };
}
