# What is this node's own. All else, such as ssh, the firewall, nginx, users and
# secrets, comes from hostenv-provider as defaults, which are overridden here.
{ ... }:
{
  imports = [ ./hardware-configuration.nix ];

  # The release that the node was installed with; see the NixOS manual before
  # you change it.
  system.stateVersion = "25.11";

  time.timeZone = "UTC";
}
