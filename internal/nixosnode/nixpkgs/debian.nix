# Where a NixOS system of Debian's packages must differ from one of nixpkgs'.
{ lib, pkgs, config, ... }: {
  # Debian's glibc loads NSS modules by itself.
  services.nscd.enable = false;
  system.nssModules = lib.mkForce [ ];

  # What Debian's packages do not have.
  documentation = { enable = false; man.enable = false; };
  fonts.fontconfig.enable = false;
  programs.command-not-found.enable = false;
  programs.bash.completion.enable = false;
  programs.less.lessopen = null;
  programs.nano.enable = lib.mkDefault false;
  xdg = lib.genAttrs [ "icons" "sounds" "mime" "menus" "autostart" ] (_: { enable = false; });
  system.disableInstallerTools = true;
  systemd.shutdownRamfs.enable = false;
  boot.enableContainers = false;
  systemd.oomd.enable = false;
  systemd.suppressedSystemUnits = [
    "systemd-bootctl.socket"
    "systemd-bootctl@.service"
    "systemd-coredump.socket"
    "systemd-coredump@.service"
    "systemd-nspawn@.service"
    "systemd-oomd.service"
    "systemd-oomd.socket"
    "systemd-vconsole-setup.service"
  ];

  # The locale that is compiled into Debian's glibc.
  i18n.defaultLocale = "C.UTF-8";
  i18n.supportedLocales = [ ];

  # util-linux's su, where NixOS has shadow's.
  security.pam.services.su-l.rootOK = true;

  # nixpkgs compiles these paths into its nginx.
  services.nginx.commonHttpConfig = lib.concatMapStrings
    (name: "${name}_temp_path /var/cache/nginx/${name};\n")
    [ "client_body" "proxy" "fastcgi" "uwsgi" "scgi" ];

  systemd.tmpfiles.rules = [
    # Debian's sshd locks itself in there.
    "d /run/sshd 0755 root root"
    # Debian's logrotate has its state in there, NixOS's beside it.
    "d /var/lib/logrotate 0755 root root"
  ];

  nix.settings = { sandbox = false; substituters = lib.mkForce [ ]; };
  environment.variables.NIX_REMOTE = lib.mkForce "";

  # The loader of Debian's programs stays where it is.
  environment.stub-ld.enable = false;
  environment.ldso = "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";
}
