# The Debian packages that replace each package of nixpkgs. One that is missing
# here fails when something builds it, with an error that has its name.
let
  same = names: builtins.listToAttrs (map (n: { name = n; value = [ n ]; }) names);
in
same [
  "acl" "attr" "bash" "bzip2" "coreutils" "cpio" "cron" "curl" "diffutils" "e2fsprogs" "file" "findutils" "gawk" "gzip"
  "iproute2" "ipset" "jq" "kmod" "less" "logrotate" "nano" "nftables" "nginx" "pebble" "perl" "procps" "psmisc" "restic" "rsync"
  "strace" "sudo" "time" "zstd" "git" "age" "tzdata" "iptables" "fuse3"
]
// {
  bashInteractive = [ "bash" ];
  bash-completion = [ "bash-completion" ];
  dbus = [ "dbus" "dbus-bin" "dbus-daemon" "dbus-system-bus-common" "dbus-session-bus-common" "dbus-user-session" ];
  coreutils-full = [ "coreutils" ];
  getconf = [ "libc-bin" ];
  getent = [ "libc-bin" ];
  gitMinimal = [ "git" ];
  glibc = [ "libc-bin" ];
  gnugrep = [ "grep" ];
  gnupatch = [ "patch" ];
  gnused = [ "sed" ];
  gnutar = [ "tar" ];
  hostname = [ "hostname" ];
  host = [ "bind9-host" ];
  iputils = [ "iputils-ping" ];
  inetutils = [ "hostname" ];
  libcap = [ "libcap2-bin" ];
  linux-pam = [ "libpam-modules" "libpam-modules-bin" ];
  pam = [ "libpam-modules" "libpam-modules-bin" ];
  lvm2 = [ "dmsetup" ];
  mailcap = [ "media-types" ];
  mkpasswd = [ "whois" ];
  ncurses = [ "ncurses-bin" "ncurses-base" "ncurses-term" ];
  netcat = [ "netcat-openbsd" ];
  nettools = [ "net-tools" "hostname" ];
  net-tools = [ "net-tools" "hostname" ];
  nix = [ "nix-bin" "nix-setup-systemd" ];
  openssh = [ "openssh-server" "openssh-client" "openssh-sftp-server" ];
  openssl = [ "openssl" ];
  prometheus-node-exporter = [ "prometheus-node-exporter" ];
  python3 = [ "python3-minimal" "python3.13-minimal" ];
  shadow = [ "passwd" "login" "uidmap" ];
  su = [ "util-linux" "login" ];
  flock = [ "util-linux" ];
  mount = [ "mount" ];
  util-linux = [ "util-linux" "mount" "bsdutils" "login" ];
  systemd = [ "systemd" "libpam-systemd" "udev" "systemd-resolved" "systemd-timesyncd" ];
  which = [ "debianutils" ];
  xz = [ "xz-utils" ];
  iana-etc = [ "netbase" ];
  util-linuxMinimal = [ "util-linux" "mount" ];
  fuse = [ "fuse3" ];
  xxd = [ "xxd" ];

  # asked for by modules, of no use on these nodes: empty packages
  audit = [ ]; bcache-tools = [ ]; btrfs-progs = [ ]; hwdata = [ ]; installShellFiles = [ ]; kexec-tools = [ ]; linuxHeaders = [ ];
  xauth = [ ]; mdadm = [ ]; dosfstools = [ ];
}
