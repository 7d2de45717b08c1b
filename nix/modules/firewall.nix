# The ports that are open to the network.
{ config, lib, ... }:
let
  inherit (lib) mkDefault mkOption types;
in
{
  options.hostenv.firewall.allowedTCPPorts = mkOption {
    type = types.listOf types.port;
    default = lib.unique (config.hostenv.ssh.ports ++ [ 80 443 ]);
    defaultText = lib.literalExpression "config.hostenv.ssh.ports ++ [ 80 443 ]";
    example = [ 22 443 ];
    description = ''
      TCP ports that the firewall opens. NixOS joins these with the ports that its modules open:
      `services.openssh.openFirewall` opens sshd's as well.
    '';
  };

  config.networking.firewall = {
    enable = mkDefault true;
    allowedTCPPorts = config.hostenv.firewall.allowedTCPPorts;
  };
}
