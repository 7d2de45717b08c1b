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

  # The same paths in every system: the running nginx starts the next one by them.
  binary = "/etc/hostenv/nginx";
  settings = paths.frontDoor;
  started = paths.frontDoorStarted;
  pidfile = "/run/nginx/nginx.pid";

  program = pkgs.writeShellScript "hostenv-nginx" (import ../lib/fill.nix ./hostenv-nginx.sh {
    nginx = binary;
    config = "/etc/nginx/nginx.conf";
    inherit pidfile settings started;
  });

  # Settings that a process of the unit keeps from its start to its end. Left out are
  # those that systemd applies to a running unit or reads later, and store paths that
  # change with every nixpkgs.
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

  # nginx itself, of nixpkgs' programs by this name.
  isNginx = version: lib.hasPrefix "nginx" (lib.getName nginx.package) && lib.versionAtLeast (lib.getVersion nginx.package) version;
in
{
  options.hostenv.frontDoor.drainTimeout = mkOption {
    type = types.strMatching "[1-9][0-9]*(ms|s|m|h|d)?";
    default = "1h";
    example = "10m";
    description = ''
      How long a request or a WebSocket goes on that began before nginx was reloaded or replaced. Until then a part of
      the older nginx stays in memory.
    '';
  };

  config = mkIf (nginx.enable && nginx.enableReload) {
    environment.etc."hostenv/nginx".source = "${nginx.package}/bin/nginx";
    environment.etc.${lib.removePrefix "/etc/" settings}.text = kept;

    services.nginx.appendConfig = mkDefault ''
      worker_shutdown_timeout ${cfg.drainTimeout};
    '';
    # Or a client's next request can meet the end of a connection that was idle.
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
        # By root and outside of the sandbox, so that it is no part of what nginx can
        # change; without it there would be a warning too many.
        ExecStartPost = [ "+-${pkgs.coreutils}/bin/install -m 0644 ${settings} ${started}" ];
        TimeoutStartSec = mkDefault 180;
        SyslogIdentifier = mkDefault "nginx";
        # NixOS denies nginx all of @ipc. A shell cannot do without pipes.
        SystemCallFilter = lib.mkAfter [ "pipe" "pipe2" ];
      };
    };

    # What NixOS reloads nginx by in a switch, once the certificates are there.
    systemd.services.nginx-config-reload.serviceConfig = {
      ExecStart = mkForce "${program} switch";
      TimeoutSec = mkForce 180;
    };

    system.activationScripts.hostenv-nginx = {
      deps = [ "etc" ];
      text = "${program} kept || true\n";
    };
  };
}
