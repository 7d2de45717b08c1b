# A server of nginx by which the activation of a system finds out whether nginx answers,
# see nix/lib/activation/health.sh. It gives every visitor an empty answer.
{ config, lib, ... }:
let
  # No customer can have a name below .invalid.
  name = "canary.hostenv.invalid";
  reachable = import ../lib/reachable.nix;
  cfg = config.services.nginx;
  listens =
    if cfg.defaultListen != [ ] then lib.filter (l: ! l.proxyProtocol && l.ssl != true && ! lib.hasPrefix "unix:" l.addr) cfg.defaultListen
    else map (addr: { inherit addr; port = null; }) (cfg.defaultListenAddresses ++ [ "0.0.0.0" ]);
  first = lib.head listens;
  port = if first.port == null then cfg.defaultHTTPListenPort else first.port;
in
{
  config = lib.mkIf cfg.enable {
    # The activation of this system asks there, and that of the next one before its
    # switch: the address, the port and the name. Over TLS it does not ask.
    environment.etc."hostenv/canary" = lib.mkIf (listens != [ ]) {
      text = "${reachable first.addr} ${toString port} ${name}\n";
    };

    # No virtual host of NixOS: those are the provider's and the customers'. Here, behind
    # them, nginx never takes it for the default server of an address that one of them
    # listens on.
    services.nginx.appendHttpConfig = lib.mkIf (listens != [ ]) ''
      server {
        listen ${first.addr}:${toString port};
        server_name ${name};
        access_log off;
        return 204;
      }
    '';
  };
}
