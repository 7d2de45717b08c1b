#!/bin/bash
# machine.sh DIR OUT: makes of the files in DIR, and of this Debian's systemd, D-Bus
# and a few programs, the initial RAM disk of a machine that starts systemd.
set -euo pipefail
cd "$1"
mkdir -p proc sys dev run tmp var root usr/{bin,lib,lib64,sbin}
ln -s usr/{bin,lib,lib64,sbin} .
systemd=(/usr/lib/systemd/systemd{,-executor,-shutdown})
programs=(/usr/bin/{bash,busctl,systemctl,systemd-cat,dbus-daemon,cat,head,tail,sleep,grep} "${systemd[@]}")
{
  printf '%s\n' "${programs[@]}" /usr/lib/systemd/system/dbus.{service,socket} /etc/{passwd,group,nsswitch.conf}
  find /usr/share/dbus-1 /etc/dbus-1 -type f
  for program in "${programs[@]}"; do ldd "$program"; done | grep -o '/[^ ]*' | sed 's|^/lib|/usr/lib|'
} | sort -u | xargs cp --parents --dereference --target-directory=.
ln -s usr/lib/systemd/systemd init
: >etc/machine-id
find . | cpio --create --format=newc --quiet >"$2"
