# Certificates: which there are, and by whose account, is in the plan; NixOS's
# nginx module asks for them by HTTP-01. NixOS orders them within a switch, and
# one that fails makes the switch fail. Here a switch makes self-signed ones for
# new names, and hostenv-certificates.service orders after it.
{ config, lib, pkgs, utils, ... }:
let
  inherit (lib) mapAttrs mapAttrs' mapAttrsToList mkDefault mkForce mkIf mkMerge mkOption nameValuePair types;
  fill = import ../lib/fill.nix;
  acme = config.security.acme;
  nginx = config.services.nginx;
  inherit (config.hostenv.certificates) outsideOfSwitches;
  any = outsideOfSwitches && acme.certs != { };

  program = pkgs.writeShellScriptBin "hostenv-certificates" (fill ./certificates.sh {
    path = lib.makeBinPath [ pkgs.coreutils pkgs.gnugrep pkgs.gnused pkgs.jq pkgs.openssl pkgs.util-linux config.systemd.package ];
  });
  run = arguments: "${program}/bin/hostenv-certificates ${utils.escapeSystemdExecArgs arguments}";

  # identityOf certificate: what a certificate, once ordered, is to be ordered anew for.
  identityOf = certificate: builtins.hashString "sha256" (builtins.toJSON {
    inherit (certificate) domain extraDomainNames server email keyType dnsProvider ocspMustStaple
      extraLegoFlags extraLegoRunFlags;
  });

  # The names of the certificates that nginx has, as NixOS names them.
  served = lib.unique (lib.concatLists (mapAttrsToList
    (name: host:
      if host.useACMEHost != null then [ host.useACMEHost ]
      else lib.optional host.enableACME (if host.serverName != null then host.serverName else name))
    nginx.virtualHosts));

  selfSigned = lib.optionals acme.preliminarySelfsigned
    (map (name: "acme-selfsigned-${name}.service") (lib.attrNames acme.certs));

  order = name: certificate: nameValuePair "acme-${name}" {
    # No switch starts an order, nor ends one that is at work.
    wantedBy = mkForce [ ];
    restartIfChanged = false;
    serviceConfig = {
      ExecStartPre = "-+" + run [ "begin" name (identityOf certificate) ];
      ExecStopPost = "-+" + run [ "end" name ];
      # What NixOS's script ends with where an order fails. A unit that failed
      # would fail any switch that is at work, whatever that changes.
      SuccessExitStatus = [ 1 10 11 "SIGTERM" ];
      TimeoutStartSec = mkDefault "15min";
    };
  };
in
{
  # NixOS lets the first certificate of an account be ordered before all others,
  # and these fail where that one does. hostenv-certificates begins with one, too.
  options.systemd.targets = mkOption {
    type = types.attrsOf (types.submodule ({ name, ... }: {
      config = mkIf (outsideOfSwitches && lib.hasPrefix "acme-account-" name) (lib.genAttrs [ "requires" "requiredBy" "after" "before" ] (_: mkForce [ ]));
    }));
  };

  options.hostenv.certificates.outsideOfSwitches = mkOption {
    type = types.bool;
    default = true;
    example = false;
    description = ''
      Whether certificates are ordered outside of switches. Off, NixOS orders them within a switch, which one that fails
      makes fail.
    '';
  };

  config = {
    assertions = [
      {
        # The names are those of NixOS 24.11 and 25.05.
        assertion = any && acme.preliminarySelfsigned -> lib.all (name: config.systemd.services ? "acme-selfsigned-${name}") (lib.attrNames acme.certs);
        message = "hostenv.certificates: this NixOS orders certificates by other units than hostenv-provider knows (there is no acme-selfsigned-<name>.service): set hostenv.certificates.outsideOfSwitches = false";
      }
      {
        assertion = any -> acme.preliminarySelfsigned;
        message = "hostenv.certificates: without security.acme.preliminarySelfsigned a new name has no certificate until its order succeeds, and nginx does not start without one: set it to true, or hostenv.certificates.outsideOfSwitches = false";
      }
    ];

    # nginx reads them all, also one that a node adds for several hosts
    # (useACMEHost). The webroot is nginx's, by virtual host: a default here would
    # stand in the way of a certificate by DNS-01.
    security.acme.defaults.group = mkDefault nginx.group;

    # A new certificate is read by a reload; a look that finds none due is not.
    security.acme.certs = mkIf (outsideOfSwitches && nginx.enable) (lib.genAttrs served (_: { reloadServices = [ "nginx.service" ]; }));

    environment.systemPackages = [ program ];
    environment.etc."hostenv/certificates.json".text = builtins.toJSON {
      parallel = if acme.maxConcurrentRenewals > 0 then acme.maxConcurrentRenewals else 5;
      certificates = lib.optionalAttrs outsideOfSwitches (mapAttrs (_: certificate: { identity = identityOf certificate; }) acme.certs);
    };

    systemd.targets = mkMerge [
      {
        # Reached when each certificate has files, self-signed ones at least: what
        # reads them waits for this one name, whichever certificates there are. A
        # switch reaches it anew.
        hostenv-certificate-files = {
          description = "Certificates, self-signed ones at least";
          wantedBy = [ "multi-user.target" ];
          wants = selfSigned;
          after = selfSigned;
          unitConfig.X-StopOnReconfiguration = true;
        };
      }
      # A switch starts every target that is reached, and with it its order.
      (mkIf outsideOfSwitches (mapAttrs' (name: _: nameValuePair "acme-finished-${name}" { wantedBy = mkForce [ ]; unitConfig.X-OnlyManualStart = true; }) acme.certs))
    ];

    systemd.services = mkMerge [
      (mkIf outsideOfSwitches (mapAttrs' order acme.certs))

      (mkIf (acme.certs != { } && acme.maxConcurrentRenewals > 0) {
        # It is confined to a folder that this other one makes.
        acme-lockfiles = { wants = [ "acme-fixperms.service" ]; after = [ "acme-fixperms.service" ]; };
      })

      # At a boot, before anything reads them.
      (mkIf any (mapAttrs' (name: _: nameValuePair "acme-selfsigned-${name}" { wants = [ "hostenv-certificates-check.service" ]; after = [ "hostenv-certificates-check.service" ]; }) acme.certs))

      (mkIf any {
        hostenv-certificates-check = {
          description = "Certificates of which a power cut left half";
          restartIfChanged = false;
          serviceConfig = {
            Type = "oneshot";
            RemainAfterExit = true;
            ExecStart = "-" + run [ "check" ];
          };
        };

        hostenv-certificates = {
          description = "Orders of certificates";
          wantedBy = [ "multi-user.target" ];
          wants = [ "network-online.target" ];
          # New names are answered for by then.
          after = [ "network-online.target" "nss-lookup.target" "hostenv-certificate-files.target" "nginx.service" "nginx-config-reload.service" ];
          restartTriggers = [ config.environment.etc."hostenv/certificates.json".source ];
          startLimitIntervalSec = 0;
          serviceConfig = {
            # A switch waits until it has begun, and not for what it does.
            Type = "exec";
            ExecStart = "-" + run [ "order" ];
          };
        };
      })

      (mkIf (outsideOfSwitches && nginx.enable) {
        # What it needs of certificates has a name that no host changes.
        nginx.wants = mkForce [ "hostenv-certificate-files.target" ];
      })

      (mkIf (outsideOfSwitches && nginx.enable && (nginx.enableReload || served != [ ])) {
        # It reads what a switch brings, once that has certificates, and waits for
        # no order.
        nginx-config-reload = {
          wantedBy = mkForce [ "multi-user.target" ];
          after = mkForce [ "hostenv-certificate-files.target" ];
        };
      })
    ];

    systemd.timers.hostenv-certificates = mkIf any {
      description = "Orders of certificates that are missing or failed";
      wantedBy = [ "timers.target" ];
      timerConfig = { OnCalendar = "hourly"; RandomizedDelaySec = "30min"; };
    };
  };
}
