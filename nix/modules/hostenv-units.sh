# shellcheck shell=bash
# A deploy runs this program as an environment's user after it has removed the profile of
# the environment, whose only version did not work (hostenv/deploy/remote/agent.sh).
# nix/modules/units.nix installs it, and sudo lets the deploy user run it only as the user
# of an environment.
#
#   hostenv-units stop   stops the units of the environment's own systemd
#
# hostenv links the units of a version from $XDG_CONFIG_HOME/systemd, and those that it
# started last from $XDG_STATE_HOME/hostenv/current-state/systemd. Both links are removed:
# so systemd does not start the units again, and the next version starts all of its own.
set -euo pipefail
cd /

if [ "$*" != stop ]; then
  printf 'usage: hostenv-units stop\n' >&2
  exit 64
fi
export XDG_RUNTIME_DIR="/run/user/$UID"
unset HOME # now ~ is the home of the user
home=~
# How long units may take to stop, in seconds, before they are killed.
limit=60

systemctl() { timeout "$limit" systemctl --user "$@"; }

# folder NAME DEFAULT prints a folder by the name that the user's systemd has it by.
folder() {
  local line
  while IFS= read -r line; do
    case $line in "$1"=/*) printf '%s\n' "${line#*=}" && return ;; esac
  done < <(systemctl show-environment)
  printf '%s\n' "$2"
}
config=$(folder XDG_CONFIG_HOME "$home/.config")/systemd
state=$(folder XDG_STATE_HOME "$home/.local/state")/hostenv/current-state/systemd

units=()
for file in "$config"/user/*; do
  unit=${file##*/}
  case $unit in
  *@.service | *@.socket | *@.timer | *@.path | *@.target) units+=("${unit/@./@*.}") ;;
  *.service | *.socket | *.timer | *.path | *.target) units+=("$unit") ;;
  esac
done
status=0
if [ "${#units[@]}" -gt 0 ] && ! systemctl stop -- "${units[@]}"; then
  systemctl kill --signal=SIGKILL -- "${units[@]}" || true
  systemctl stop -- "${units[@]}" || status=1
fi
for link in "$config" "$state"; do
  if [ -L "$link" ]; then rm -- "$link" || status=1; fi
done
systemctl daemon-reload || status=1
systemctl reset-failed || status=1
exit "$status"
