# The configuration of this node only. hostenv-provider sets defaults for the rest,
# such as ssh, the firewall, nginx, users and secrets; override them here.
{ ... }:
{
  imports = [ ./hardware-configuration.nix ];

  # The release that the node was installed with; see the NixOS manual before
  # you change it.
  system.stateVersion = "25.11";

  time.timeZone = "UTC";
}
