# ssh: log-in only by key and not as root; a connection ends if its client disappears.
{ config, lib, ... }:
let
  inherit (lib) mkDefault mkOption types;
in
{
  options.hostenv.ssh.ports = mkOption {
    type = types.listOf types.port;
    default = [ 22 ];
    example = [ 22 2222 ];
    description = ''
      The ports that sshd listens on: 22 and `provider.nodes.<node>.sshPort`. 22 stays, because the other port can be one
      that a router forwards to the node's 22.
    '';
  };

  config.services.openssh = {
    enable = mkDefault true;
    ports = mkDefault config.hostenv.ssh.ports;
    settings = {
      PasswordAuthentication = mkDefault false;
      KbdInteractiveAuthentication = mkDefault false;
      PermitRootLogin = mkDefault "no";
      # A deploy's lock lasts as long as its connection. If the deploying machine
      # disappears, the connection ends after a minute, and not after hours.
      ClientAliveInterval = mkDefault 15;
      ClientAliveCountMax = mkDefault 4;
    };
  };
}
