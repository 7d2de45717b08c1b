# shellcheck shell=bash
# What frame.sh needs for a node's activation.

setup() { :; }

# systemd-boot's `default` names an entry by a store path that no generation of
# deploy-rs's profile has. Without `default` systemd-boot takes the newest entry.
activate() {
  cd /
  "$PROFILE/bin/switch-to-configuration" switch
  local loader=@loader@ # loader.conf of systemd-boot, empty for another boot loader
  [ -z "$loader" ] || "@sed@sed" -i -e '/^default[[:blank:]]/d' "$loader"
}
