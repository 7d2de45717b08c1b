# Certificates by DNS-01 through Cloudflare (provider.wildcard): that of generated names,
# and those of customers' virtual hosts with wildcards. The plan has them, and says which
# virtual hosts use them (useACMEHost). This module orders them, each with its token.
{ config, lib, options, pkgs, ... }:
let
  inherit (builtins) head tail;
  inherit (lib) attrNames elem filter mapAttrs mapAttrs' mapAttrsToList mkIf mkMerge mkOption nameValuePair types unique;
  sops = import ./sops-secret.nix { inherit lib; };
  file = config.hostenv.secrets;
  cfg = config.hostenv.wildcards;
  inherit (config.services) nginx;

  needed = unique (mapAttrsToList (_: certificate: certificate.apiTokenSecret) cfg);
  present = file.file != null && options ? sops;
  secretOf = name: "hostenv-wildcard/${name}";

  complaint = (import ../lib/secrets.nix).complaint {
    needs = "${config.hostenv.nodeName} orders wildcard certificates (provider.wildcard)";
    for = "provider.wildcard";
    all = needed;
    missing = filter (key: ! elem key file.keys) needed;
    inherit file;
    inherit (file) known;
    hasSops = options ? sops;
  };

  certificate = name: { names, ... }: {
    dnsProvider = "cloudflare";
    domain = head names;
    extraDomainNames = tail names;
    # systemd gives the order a copy of the file that no other process can read.
    credentialFiles = mkIf present { CF_DNS_API_TOKEN_FILE = config.sops.secrets.${secretOf name}.path; };
  };

  # Sites that have a certificate would be served with a self-signed one until the order
  # ends. So a switch waits for the first order, and fails if that fails: then the node
  # goes back, and keeps the sites' own certificates. At a boot nginx does not run yet,
  # and the order comes later, as for all certificates.
  firstOrder = name: {
    description = "The first order of the wildcard certificate";
    requiredBy = [ "nginx-config-reload.service" ];
    before = [ "nginx.service" "nginx-config-reload.service" ];
    wants = [ "acme-selfsigned-${name}.service" "network-online.target" ];
    after = [ "acme-selfsigned-${name}.service" "network-online.target" ];
    path = [ pkgs.coreutils pkgs.openssl config.systemd.package ];
    script = import ../lib/fill.nix ./wildcard.sh { certificate = (import ../lib/strings.nix).quote name; };
    startLimitIntervalSec = 0;
    serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
      TimeoutStartSec = "10min";
    };
  };
  first = attrNames (lib.filterAttrs (_: certificate: certificate.beforeSites) cfg);
in
{
  options.hostenv.wildcards = mkOption {
    default = { };
    example = { "_wildcard.hosting.example" = { names = [ "*.hosting.example" ]; apiTokenSecret = "cloudflare/acme_token"; beforeSites = true; }; };
    description = ''
      The certificates by DNS-01 through Cloudflare, by their name in `security.acme.certs`. The plan sets those that
      virtual hosts of the node use.
    '';
    type = types.attrsOf (types.submodule {
      options = {
        names = mkOption {
          type = types.nonEmptyListOf types.str;
          example = [ "*.hosting.example" "node-a.certificate.hosting.example" ];
          description = "The names in the certificate.";
        };
        apiTokenSecret = mkOption {
          type = types.strMatching "[^/]+(/[^/]+)?";
          example = "cloudflare/acme_token";
          description = "The key in the sops file that holds the token of Cloudflare's API. `provider.wildcard` sets it.";
        };
        beforeSites = mkOption {
          type = types.bool;
          default = false;
          example = true;
          description = ''
            Whether a switch waits for the first order, and fails if it fails. Otherwise the first order comes after the
            switch, as for all certificates, and its failure is that certificate's alone.
          '';
        };
      };
    });
  };

  config = {
    assertions = [{ assertion = complaint == null; message = toString complaint; }];

    security.acme.certs = mapAttrs certificate cfg;

    systemd.services = mkIf (nginx.enable && config.hostenv.certificates.outsideOfSwitches)
      (mkMerge (map (name: { hostenv-wildcard = firstOrder name; }) first));
  } // lib.optionalAttrs (options ? sops) {
    sops.secrets = mkIf present (mapAttrs'
      (name: { apiTokenSecret, ... }: nameValuePair (secretOf name) (sops.secret { inherit (file) file; key = apiTokenSecret; }))
      cfg);
  };
}
