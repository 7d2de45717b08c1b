# shellcheck shell=bash
# What frame.sh needs for a node's activation. health.sh precedes it.

setup() { :; }

# predecessor prints what to go back to: the newest other generation whose system runs.
predecessor() {
  local link at running
  running=$(readlink -f /run/current-system/activate)
  for link in "$PROFILE"-*-link; do
    if [ "$(readlink -f "$link/activate")" = "$running" ]; then printf '%s\n' "$link"; fi
  done | sort -V | while read -r link; do
    at=$(readlink -f "$link")
    # shellcheck disable=SC2154 # frame.sh sets it
    [ "$at" = "$path" ] || printf '%s\n' "$at"
  done | tail -n 1
} 2>/dev/null

# The switch ends with 4 if units failed. We compare them with those that had failed
# before: a unit that never worked must not keep the node at its old system for ever.
#
# systemd-boot's `default` names an entry by a store path that no generation of
# deploy-rs's profile has. Without `default` systemd-boot takes the newest entry.
activate() {
  local status=0 front=0 before
  cd /
  # shellcheck disable=SC2154 # frame.sh sets it
  before=$(units_of "$broken")
  if ! with_coreutils nginx_answers; then
    front=1
    printf 'warning: nginx does not answer before the switch, and so is not checked after it\n'
  fi
  "$PROFILE/bin/switch-to-configuration" switch || status=$?
  case "$status $before" in
  "0 "* | "4 "?*)
    if with_coreutils healthy "$before" "$status" "$front"; then status=0; else status=1; fi
    ;;
  esac
  [ "$status" = 0 ] || return "$status"
  local loader=@loader@ # loader.conf of systemd-boot, empty for another boot loader
  [ -z "$loader" ] || "@sed@sed" -i -e '/^default[[:blank:]]/d' "$loader"
}
