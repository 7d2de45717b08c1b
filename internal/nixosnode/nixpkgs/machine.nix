# The machine that a node of the tests is: namespaces in place of disks, kernel
# and boot loader, and a network that is there before the node starts. A node's
# configuration.nix imports this as nixosModules.machine.
{ lib, config, ... }: {
  boot.isContainer = true;
  networking = {
    useDHCP = false;
    dhcpcd.enable = false;
    wireless.enable = false;
    useHostResolvConf = false;
    resolvconf.enable = false;
  };
  # The name server of the tests' network.
  environment.etc."resolv.conf".text = lib.mkDefault "nameserver 192.4.255.1\n";
  services.openssh.startWhenNeeded = false;
  system.stateVersion = "25.05";

  # NixOS leaves these out where boot.isContainer is set, and only there.
  systemd.services = lib.mapAttrs'
    (name: _: lib.nameValuePair "acme-${name}" { wantedBy = [ "multi-user.target" ]; })
    config.security.acme.certs;
}
