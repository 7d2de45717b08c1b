# A virtual host by which the activation of a system finds out whether nginx answers,
# see nix/lib/activation/health.sh. It gives every visitor an empty answer.
{ config, lib, ... }:
let
  # No customer can have a name below .invalid.
  name = "canary.hostenv.invalid";
  reachable = import ../lib/reachable.nix;
  cfg = config.services.nginx;
  plain = lib.filter (l: ! (l.proxyProtocol or false || l.ssl or false)) cfg.defaultListen;
  listens =
    if plain != [ ] then lib.head plain
    else { addr = lib.head (cfg.defaultListenAddresses ++ [ "0.0.0.0" ]); };
  port = listens.port or null;
in
{
  config = lib.mkIf cfg.enable {
    # The activation of this system asks there, and that of the next one before its
    # switch: the address, the port and the name.
    environment.etc."hostenv/canary".text =
      "${reachable listens.addr} ${toString (if port == null then cfg.defaultHTTPListenPort else port)} ${name}\n";

    services.nginx.virtualHosts.${name} = {
      locations."/" = {
        return = "204";
        extraConfig = "access_log off;";
      };
    };
  };
}
