# The certificate for the generated names of environments (provider.wildcard), by DNS-01
# through Cloudflare. The plan defines it in security.acme.certs, and says which virtual
# hosts use it (useACMEHost). This module gives its order the token.
{ config, lib, options, pkgs, ... }:
let
  inherit (lib) mkIf types;
  inherit (import ../lib/option.nix { inherit lib; }) nullable;
  sops = import ./sops-secret.nix { inherit lib; };
  file = config.hostenv.secrets;
  cfg = config.hostenv.wildcard;
  inherit (config.services) nginx;

  used = cfg.certificate != null;
  present = used && cfg.apiTokenSecret != null && file.file != null && options ? sops;

  complaint = (import ../lib/secrets.nix).complaint {
    needs = "${config.hostenv.nodeName} orders a wildcard certificate (provider.wildcard)";
    for = "provider.wildcard.apiTokenSecret";
    all = lib.optional used (toString cfg.apiTokenSecret);
    missing = lib.optional (used && ! lib.elem cfg.apiTokenSecret file.keys) (toString cfg.apiTokenSecret);
    inherit file;
    inherit (file) known;
    hasSops = options ? sops;
  };
in
{
  options.hostenv.wildcard = {
    certificate = nullable types.str "_wildcard.hosting.example" ''
      The name of the certificate in `security.acme.certs`, on a node that orders it. The plan sets it.
    '';
    apiTokenSecret = nullable (types.strMatching "[^/]+(/[^/]+)?") "cloudflare/acme_token" ''
      The key in the sops file that holds the token of Cloudflare's API. `provider.wildcard.apiTokenSecret` sets it.
    '';
  };

  config = {
    assertions = [{ assertion = complaint == null; message = toString complaint; }];

    # systemd gives the order a copy of the file that no other process can read.
    security.acme.certs = mkIf present {
      ${cfg.certificate}.credentialFiles.CF_DNS_API_TOKEN_FILE = config.sops.secrets.hostenv-wildcard-token.path;
    };

    # Sites that have a certificate would be served with a self-signed one until the order
    # ends. So a switch waits for the first order, and fails if that fails: then the node
    # goes back, and keeps the sites' own certificates. At a boot nginx does not run yet,
    # and the order comes later, as for all certificates.
    systemd.services.hostenv-wildcard = mkIf (used && nginx.enable && config.hostenv.certificates.outsideOfSwitches) {
      description = "The first order of the wildcard certificate";
      requiredBy = [ "nginx-config-reload.service" ];
      before = [ "nginx.service" "nginx-config-reload.service" ];
      wants = [ "acme-selfsigned-${cfg.certificate}.service" "network-online.target" ];
      after = [ "acme-selfsigned-${cfg.certificate}.service" "network-online.target" ];
      path = [ pkgs.coreutils pkgs.openssl config.systemd.package ];
      script = import ../lib/fill.nix ./wildcard.sh { certificate = (import ../lib/strings.nix).quote cfg.certificate; };
      startLimitIntervalSec = 0;
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        TimeoutStartSec = "10min";
      };
    };
  } // lib.optionalAttrs (options ? sops) {
    sops.secrets = mkIf present {
      hostenv-wildcard-token = sops.secret { inherit (file) file; key = cfg.apiTokenSecret; };
    };
  };
}
