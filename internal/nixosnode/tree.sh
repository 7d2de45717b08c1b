#!/bin/bash
# tree.sh DEST: make DEST/root, a Debian trixie tree with every program that
# operator and nodes run, and DEST/node/usr, what a node has of it. The packages
# come from Debian by apt. Nothing in the tree is configured: a node takes /usr
# from here, and /etc, users and units from NixOS.
set -euo pipefail
dest=$1
mkdir -p "$dest"
key=/usr/share/keyrings/debian-archive-keyring.gpg
# shellcheck disable=SC2016 # apt expands it
site=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -E -m 1 '/debian/?$') || {
  echo "apt has no Debian archive among its sources: add one, and run apt-get update" >&2
  exit 1
}

packages=(
  # PID 1, activation and switching
  systemd systemd-sysv systemd-timesyncd systemd-resolved libpam-systemd libnss-systemd udev dbus dbus-user-session
  kmod util-linux mount login passwd perl libfile-slurp-perl libjson-perl libconfig-inifiles-perl libnet-dbus-perl
  libxml-twig-perl libpam-modules libpam-modules-bin libcap2-bin e2fsprogs gzip xz-utils zstd bzip2 cpio procps less
  ncurses-bin ncurses-term bash-completion gawk patch diffutils findutils grep sed file jq rsync git curl
  ca-certificates openssl tzdata locales
  # what nodes are configured with
  nginx openssh-server openssh-client sudo iproute2 iputils-ping iptables nftables net-tools nix-bin lego pebble
  ipset cron restic age python3-minimal acl attr which hostname libc-bin netcat-openbsd mtr-tiny strace nano
  logrotate bind9-host psmisc prometheus-node-exporter dmsetup fuse3 whois time netbase xxd uidmap
  nix-setup-systemd media-types
  # building: the C of security wrappers
  gcc libc6-dev make
)
include=$(
  IFS=,
  echo "${packages[*]}"
)
mmdebstrap --quiet --variant=minbase --mode=root \
  --aptopt='APT::Install-Recommends "false"' --aptopt='APT::Sandbox::User "root"' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  --dpkgopt='path-exclude=/usr/share/doc/*' \
  --keyring="$key" --include="$include" \
  trixie "$dest/root" "deb [signed-by=$key] $site trixie main"

# The version of each package, for Nix: another version, another store path.
# shellcheck disable=SC2016 # dpkg-query expands it
chroot "$dest/root" dpkg-query -W -f '"${Package}": "${Version}",\n' | sed '1s/^/{/; $s/,$/}/' >"$dest/versions.json"

# A node has no part of /usr by which Debian would configure itself. Hard links
# take no room.
mkdir "$dest/node"
cp -al "$dest/root/usr" "$dest/node/usr"
for dir in systemd/{system,user,system-generators,user-generators,system-preset,user-preset,network} \
  systemd/{system,logind,journald}.conf.d {tmpfiles,sysusers,sysctl,modules-load,environment,pam}.d udev/rules.d; do
  rm -rf "$dest/node/usr/lib/$dir"
done
# It has no /etc/alternatives either: names there lead to what they stand for.
find "$dest/node/usr" -type l -lname '/etc/alternatives/*' | while read -r link; do
  target=$(chroot "$dest/root" readlink -f "/${link#"$dest/node/"}" || true)
  if [ -n "$target" ]; then ln -sfn "$target" "$link"; else rm "$link"; fi
done
