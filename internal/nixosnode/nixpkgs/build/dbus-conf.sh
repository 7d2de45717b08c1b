# shellcheck shell=bash disable=SC2154
# The folder /etc/dbus-1 of a node. Debian's dbus-daemon reads its own configuration below /usr/share and includes these.
mkdir -p "$out"
conf() { # kind folders-of-services
  echo '<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">'
  echo '<busconfig>'
  if [ "$1" = system ]; then echo "  <servicehelper>$suidHelper</servicehelper>"; fi
  local p
  for p in $serviceDirectories; do
    echo "  <servicedir>$p/share/dbus-1/$2</servicedir>"
    echo "  <includedir>$p/etc/dbus-1/$1.d</includedir>"
    echo "  <includedir>$p/share/dbus-1/$1.d</includedir>"
  done
  echo '</busconfig>'
}
conf system system-services > "$out/system.conf"
conf session services > "$out/session.conf"
