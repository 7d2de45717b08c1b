# The machine itself: disks, boot loader, network. All else comes from the plan.
{
  boot.loader.grub.device = "/dev/vda";
  fileSystems."/" = { device = "/dev/disk/by-uuid/b0000000-0000-4000-8000-000000000000"; fsType = "ext4"; };
  system.stateVersion = "26.05";
}
