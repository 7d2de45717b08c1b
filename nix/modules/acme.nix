# Certificates: which there are, and by whose account, is in the plan; NixOS's
# nginx module asks for them by HTTP-01.
{ config, lib, ... }:
{
  # nginx reads them all, also one that a node adds for several hosts
  # (useACMEHost). The webroot is nginx's, by virtual host: a default here would
  # stand in the way of a certificate by DNS-01.
  security.acme.defaults.group = lib.mkDefault config.services.nginx.group;
}
