# A deploy never restarts nginx, so that no request is lost: nginx reloads a new
# configuration, and a new nginx replaces the running one (hostenv-nginx.sh).
# docs/nodes.md describes the cost.
{ config, lib, pkgs, ... }:
let
  inherit (lib) concatStrings mapAttrsToList mkDefault mkForce mkIf mkOption optionalString types;
  paths = import ../lib/paths.nix;
  cfg = config.hostenv.frontDoor;
  nginx = config.services.nginx;
  unit = config.systemd.services.nginx;

  # Paths that are the same in every system, because the running nginx starts the next
  # one by them.
  binary = "/etc/hostenv/nginx";
  settings = paths.frontDoor;
  started = paths.frontDoorStarted;
  pidfile = "/run/nginx/nginx.pid";

  program = pkgs.writeShellScript "hostenv-nginx" (import ../lib/fill.nix ./hostenv-nginx.sh {
    nginx = binary;
    config = "/etc/nginx/nginx.conf";
    inherit pidfile settings started;
  });

  # Settings that a process of the unit keeps from its start to its end. This leaves
  # out those that systemd applies to a running unit or reads later, and store paths
  # that change with every nixpkgs.
  kept = concatStrings (
    mapAttrsToList line (removeAttrs unit.serviceConfig [
      "AllowedCPUs" "CPUQuota" "CPUWeight" "IOWeight" "MemoryHigh" "MemoryLow" "MemoryMax" "MemoryMin" "MemorySwapMax" "TasksMax"
      "ExecCondition" "ExecReload" "ExecStart" "ExecStartPost" "ExecStartPre" "ExecStop" "ExecStopPost"
      "KillMode" "KillSignal" "PIDFile" "Restart" "RestartSec" "TimeoutSec" "TimeoutStartSec" "TimeoutStopSec" "Type"
    ])
    ++ mapAttrsToList (name: line "Environment ${name}") (removeAttrs unit.environment [ "LOCALE_ARCHIVE" "PATH" "TZDIR" ])
  );
  line = name: value:
    concatStrings (map (v: "${name}=${if builtins.isBool v then lib.boolToString v else toString v}\n") (lib.remove null (lib.toList value)));

  # Whether the package is nginx itself, and not another server, of this version.
  isNginx = version: lib.hasPrefix "nginx" (lib.getName nginx.package) && lib.versionAtLeast (lib.getVersion nginx.package) version;
in
{
  options.hostenv.frontDoor.drainTimeout = mkOption {
    type = types.strMatching "[1-9][0-9]*(ms|s|m|h|d)?";
    default = "1h";
    example = "10m";
    description = ''
      How long requests and WebSockets that began before nginx was reloaded or replaced may continue. Until they end, a
      part of the older nginx stays in memory.
    '';
  };

  config = mkIf (nginx.enable && nginx.enableReload) {
    environment.etc."hostenv/nginx".source = "${nginx.package}/bin/nginx";
    environment.etc.${lib.removePrefix "/etc/" settings}.text = kept;

    services.nginx.appendConfig = mkDefault ''
      worker_shutdown_timeout ${cfg.drainTimeout};
    '';
    # Without it nginx can close an idle connection just as a client sends a request.
    services.nginx.commonHttpConfig = optionalString (isNginx "1.27.4") ''
      keepalive_min_timeout 10s;
    '';

    systemd.services.nginx = {
      restartIfChanged = false;
      serviceConfig = {
        Type = "forking";
        PIDFile = pidfile;
        ExecStart = mkForce "${program} start";
        ExecReload = mkForce "${program} reload";
        # By root and outside of the sandbox, so that nginx cannot change the file. If
        # this fails, `check` only warns too often.
        ExecStartPost = [ "+-${pkgs.coreutils}/bin/install -m 0644 ${settings} ${started}" ];
        TimeoutStartSec = mkDefault 180;
        SyslogIdentifier = mkDefault "nginx";
        # NixOS denies nginx all of @ipc. A shell cannot do without pipes.
        SystemCallFilter = lib.mkAfter [ "pipe" "pipe2" ];
      };
    };

    # NixOS reloads nginx by this unit in a switch, once the certificates have files.
    systemd.services.nginx-config-reload.serviceConfig = {
      ExecStart = mkForce "${program} switch";
      TimeoutSec = mkForce 180;
    };

    system.activationScripts.hostenv-nginx = {
      deps = [ "etc" ];
      text = "${program} check || true\n";
    };
  };
}
