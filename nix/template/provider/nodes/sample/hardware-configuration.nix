# Stands for what `nixos-generate-config --show-hardware-config` prints on the
# machine itself: replace it.
{ ... }:
{
  boot.loader.grub.device = "/dev/sda";
  boot.initrd.availableKernelModules = [ "virtio_pci" "virtio_scsi" "virtio_blk" "ahci" "sd_mod" ];

  fileSystems."/" = {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
  };
}
