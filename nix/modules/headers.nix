# Security headers at the front door, as the environments' virtual hosts request
# them. A header in a project's own extraConfig takes precedence.
{ config, lib, ... }:
let
  inherit (lib) mapAttrs mkIf mkOption types;
  nginx = import ../lib/nginx.nix;
  headersOf = import ../lib/security-headers.nix;
  cfg = config.hostenv.securityHeaders;

  all = lib.mkMerge (lib.concatMap (e: lib.mapAttrsToList virtualHost e.virtualHosts) (lib.attrValues config.hostenv.environments));

  text = value: if value == null then "" else value;

  virtualHost = name: planned:
    let
      served = config.services.nginx.virtualHosts.${name};
      asked = headersOf {
        virtualHost = planned;
        tls = served.forceSSL || served.onlySSL;
        inherit (cfg) maxAge;
      };
      headers = nginx.without (text planned.extraConfig) asked;
      # A header that the plan adds to the server; some locations have to repeat it.
      added = lib.optional (planned.allowIndexing == false) { name = "X-Robots-Tag"; value = "noindex"; };
      repeated = lib.filterAttrs (_: extraConfig: extraConfig != "")
        (mapAttrs (_: l: nginx.repeated (text l.extraConfig) { inherit headers added; }) planned.locations);
    in
    {
      ${name} = {
        extraConfig = nginx.hide headers + nginx.add headers;
        locations = mapAttrs (_: extraConfig: { inherit extraConfig; }) repeated;
      };
    };
in
{
  options.hostenv.securityHeaders = {
    enable = mkOption {
      type = types.bool;
      default = true;
      example = false;
      description = "Whether the front door sends the security headers that environments ask for by `virtualHosts.<name>.security` and `.hsts`.";
    };
    maxAge = mkOption {
      type = types.ints.unsigned;
      default = 31536000;
      example = 300;
      description = "For how many seconds a browser uses only TLS for a host with `hsts` after an answer from it.";
    };
  };

  config.services.nginx = mkIf cfg.enable {
    virtualHosts = all;
    commonHttpConfig = nginx.dollar;
  };
}
