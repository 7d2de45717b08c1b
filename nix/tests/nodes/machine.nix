# A machine's own configuration, as small as NixOS takes it.
{
  boot.loader.grub.devices = [ "/dev/vda" ];
  fileSystems."/" = { device = "/dev/vda1"; fsType = "ext4"; };
  documentation.enable = false;
  system.stateVersion = "25.05";
}
