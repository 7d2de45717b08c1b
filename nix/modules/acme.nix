# Certificates. The plan has their names and the account; NixOS's nginx module sets
# HTTP-01 for them. NixOS orders them within a switch, and a failed
# order makes the switch fail. Here a switch makes self-signed certificates for new
# names, and hostenv-certificates.service orders the real ones after the switch.
{ config, lib, pkgs, utils, ... }:
let
  inherit (lib) mapAttrs mapAttrs' mapAttrsToList mkDefault mkForce mkIf mkMerge mkOption nameValuePair types;
  fill = import ../lib/fill.nix;
  acme = config.security.acme;
  nginx = config.services.nginx;
  inherit (config.hostenv.certificates) outsideOfSwitches profile;
  any = outsideOfSwitches && acme.certs != { };

  program = pkgs.writeShellScriptBin "hostenv-certificates" (fill ./certificates.sh {
    path = lib.makeBinPath [ pkgs.coreutils pkgs.gnugrep pkgs.gnused pkgs.jq pkgs.openssl pkgs.util-linux config.systemd.package ];
  });
  run = arguments: "${program}/bin/hostenv-certificates ${utils.escapeSystemdExecArgs arguments}";

  # identityOf certificate: a hash of the settings whose change needs a new order.
  identityOf = certificate: builtins.hashString "sha256" (builtins.toJSON {
    inherit (certificate) domain extraDomainNames server email keyType dnsProvider ocspMustStaple
      extraLegoFlags extraLegoRunFlags;
  });

  profileFlags = lib.optionals (profile != null) [ "--profile" profile ];

  # The names, as of security.acme.certs, of the certificates that nginx uses.
  served = lib.unique (lib.concatLists (mapAttrsToList
    (name: host:
      if host.useACMEHost != null then [ host.useACMEHost ]
      else lib.optional host.enableACME (if host.serverName != null then host.serverName else name))
    nginx.virtualHosts));

  selfSigned = lib.optionals acme.preliminarySelfsigned
    (map (name: "acme-selfsigned-${name}.service") (lib.attrNames acme.certs));

  order = name: certificate: nameValuePair "acme-${name}" {
    # A switch starts no order, and stops no order that is running.
    wantedBy = mkForce [ ];
    restartIfChanged = false;
    serviceConfig = {
      ExecStartPre = "-+" + run [ "begin" name (identityOf certificate) ];
      ExecStopPost = "-+" + run [ "end" name ];
      # The statuses of NixOS's script when an order fails. A failed unit would make
      # every switch that runs at that time fail.
      SuccessExitStatus = [ 1 10 11 "SIGTERM" ];
      TimeoutStartSec = mkDefault "15min";
    };
  };
in
{
  # NixOS orders the first certificate of an account before all others, which fail
  # if it fails. hostenv-certificates orders one first by itself.
  options.systemd.targets = mkOption {
    type = types.attrsOf (types.submodule ({ name, ... }: {
      config = mkIf (outsideOfSwitches && lib.hasPrefix "acme-account-" name) (lib.genAttrs [ "requires" "requiredBy" "after" "before" ] (_: mkForce [ ]));
    }));
  };

  options.hostenv.certificates.profile = (import ../lib/option.nix { inherit lib; }).nullable types.str "tlsserver" ''
    The certificate profile that lego orders by. `provider.letsEncrypt.profile` sets it.
  '';

  options.hostenv.certificates.outsideOfSwitches = mkOption {
    type = types.bool;
    default = true;
    example = false;
    description = ''
      Whether certificates are ordered outside of switches. If false, NixOS orders them within a switch, and a failed
      order makes the switch fail.
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

    # nginx reads all certificates, also one that a node adds for several hosts
    # (useACMEHost). Each virtual host sets its webroot: a default here would
    # prevent a certificate by DNS-01.
    security.acme.defaults = {
      group = mkDefault nginx.group;
      extraLegoRunFlags = profileFlags;
      extraLegoRenewFlags = profileFlags;
      # A certificate of 160 hours is due halfway. The default would renew it every day.
      validMinDays = mkIf (profile == "shortlived") (mkDefault 3);
    };

    # nginx reloads after a new certificate, and not when none was due.
    security.acme.certs = mkIf (outsideOfSwitches && nginx.enable) (lib.genAttrs served (_: { reloadServices = [ "nginx.service" ]; }));

    environment.systemPackages = [ program ];
    environment.etc."hostenv/certificates.json".text = builtins.toJSON {
      parallel = if acme.maxConcurrentRenewals > 0 then acme.maxConcurrentRenewals else 5;
      certificates = lib.optionalAttrs outsideOfSwitches (mapAttrs (_: certificate: { identity = identityOf certificate; }) acme.certs);
    };

    systemd.targets = mkMerge [
      {
        # Reached when each certificate has files, at least self-signed ones. Units
        # that read certificates wait for this target, so that their definition does
        # not change with the certificates. A switch reaches it again.
        hostenv-certificate-files = {
          description = "Certificates, self-signed ones at least";
          wantedBy = [ "multi-user.target" ];
          wants = selfSigned;
          after = selfSigned;
          unitConfig.X-StopOnReconfiguration = true;
        };
      }
      # A switch starts each target that was reached, and would start its order with it.
      (mkIf outsideOfSwitches (mapAttrs' (name: _: nameValuePair "acme-finished-${name}" { wantedBy = mkForce [ ]; unitConfig.X-OnlyManualStart = true; }) acme.certs))
    ];

    systemd.services = mkMerge [
      (mkIf outsideOfSwitches (mapAttrs' order acme.certs))

      (mkIf (acme.certs != { } && acme.maxConcurrentRenewals > 0) {
        # The unit's sandbox needs a folder that acme-fixperms makes.
        acme-lockfiles = { wants = [ "acme-fixperms.service" ]; after = [ "acme-fixperms.service" ]; };
      })

      # At boot, before a unit reads certificates.
      (mkIf any (mapAttrs' (name: _: nameValuePair "acme-selfsigned-${name}" { wants = [ "hostenv-certificates-check.service" ]; after = [ "hostenv-certificates-check.service" ]; }) acme.certs))

      (mkIf any {
        hostenv-certificates-check = {
          description = "Remove certificates that a power cut left incomplete";
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
          # nginx answers challenges for new names by then.
          after = [ "network-online.target" "nss-lookup.target" "hostenv-certificate-files.target" "nginx.service" "nginx-config-reload.service" ];
          restartTriggers = [ config.environment.etc."hostenv/certificates.json".source ];
          startLimitIntervalSec = 0;
          serviceConfig = {
            # A switch waits for its start, and not for its orders.
            Type = "exec";
            ExecStart = "-" + run [ "order" ];
          };
        };
      })

      (mkIf (outsideOfSwitches && nginx.enable) {
        # Only this target: nginx would restart if a host added a name here.
        nginx.wants = mkForce [ "hostenv-certificate-files.target" ];
      })

      (mkIf (outsideOfSwitches && nginx.enable && (nginx.enableReload || served != [ ])) {
        # nginx reads its new configuration as soon as the certificates have files,
        # and waits for no order.
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
