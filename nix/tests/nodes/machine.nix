# A machine's own configuration, the smallest that NixOS accepts.
{
  boot.loader.grub.devices = [ "/dev/vda" ];
  fileSystems."/" = { device = "/dev/vda1"; fsType = "ext4"; };
  documentation.enable = false;
  system.stateVersion = "25.05";
}
