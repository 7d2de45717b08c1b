# A placeholder: replace it by what `nixos-generate-config --show-hardware-config`
# prints on the machine.
{ ... }:
{
  boot.loader.grub.device = "/dev/sda";
  boot.initrd.availableKernelModules = [ "virtio_pci" "virtio_scsi" "virtio_blk" "ahci" "sd_mod" ];

  fileSystems."/" = {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
  };
}
