# Logging in: by key, and not as root, for as long as the other side is there.
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
      The ports that sshd listens on: 22, and `provider.nodes.<node>.sshPort`. Both, because a port that a router
      forwards to the node's 22 looks the same from outside.
    '';
  };

  config.services.openssh = {
    enable = mkDefault true;
    ports = mkDefault config.hostenv.ssh.ports;
    settings = {
      PasswordAuthentication = mkDefault false;
      KbdInteractiveAuthentication = mkDefault false;
      PermitRootLogin = mkDefault "no";
      # A deploy's lock lasts as long as its connection: that of a machine which
      # vanished without a word ends after a minute, and not after hours.
      ClientAliveInterval = mkDefault 15;
      ClientAliveCountMax = mkDefault 4;
    };
  };
}
