# shellcheck shell=bash
# Whether a node works after its system was activated. The activation checks that
# itself, and fails if it does not: then the node goes back (go-back.sh), even if the
# machine that deploys is gone. hostenv/deploy/failure.go reads the output.
#
# The checks: sshd answers; nginx answers for our canary, unless it did not before
# either; and no unit of the system has failed that had not failed before.

sshd=(@sshd@) # the address and the port of each of sshd's sockets: "127.0.0.1 22"
# nix/modules/canary.nix writes it for a system with nginx: the address and the port of
# nginx, and the name to ask for.
canary=/etc/hostenv/canary

# reach ADDRESS PORT SCRIPT ARGUMENT... runs a script with a connection as its
# descriptor 3, for at most 10 seconds.
# shellcheck disable=SC2016 # these are variables of the script
reach() {
  timeout 10 "$BASH" -c 'exec 3<>"/dev/tcp/$1/$2" || exit; script=$3; shift 3; eval "$script"' reach "$@"
} 2>/dev/null

# shellcheck disable=SC2016
sshd_answers() { reach "$1" "$2" 'IFS= read -r line <&3; [[ $line == SSH-* ]]'; }

# nginx_answers asks nginx of the system that runs, and succeeds without one.
# shellcheck disable=SC2016
nginx_answers() {
  local address port name
  [ -e "$canary" ] || return 0
  read -r address port name <"$canary"
  reach "$address" "$port" 'printf "GET / HTTP/1.0\r\nHost: %s\r\n\r\n" "$1" >&3; read -r _ status _ <&3; [ "$status" = 204 ]' "$name"
}

# units_of LIST prints the names of a list of failed_units, without those that customers
# can make fail: their managers and sessions.
units_of() {
  local unit
  while read -r unit _; do
    case $unit in
    '' | user@* | user-runtime-dir@* | session-* | run-user-* | user-*.slice | user.slice) ;;
    *) printf '%s\n' "$unit" ;;
    esac
  done <<<"$1"
}

# newly_failed BEFORE STATUS prints the units that have failed and are not in BEFORE. If
# the switch succeeded, these are only units that it can have started: not those that a
# timer or a socket starts at any time, and no orders of certificates.
newly_failed() {
  local unit
  units_of "$(failed_units --system)" | while read -r unit; do
    case $'\n'$1$'\n' in *$'\n'"$unit"$'\n'*) continue ;; esac
    if [ "$2" = 0 ]; then
      case $unit in acme-*) continue ;; esac
      [ -z "$(timeout 60 systemctl show --value --property=TriggeredBy -- "$unit" 2>/dev/null)" ] || continue
    fi
    printf '%s\n' "$unit"
  done
}

# wrong BEFORE STATUS FRONT prints what does not work, a line each.
wrong() {
  local at unit
  for at in "${sshd[@]}"; do
    # shellcheck disable=SC2086 # an address and a port
    sshd_answers $at || printf 'sshd does not answer at %s\n' "$at"
  done
  [ "$3" != 0 ] || nginx_answers || {
    read -r at unit _ <"$canary"
    printf 'nginx does not answer at %s\n' "$at $unit"
  }
  newly_failed "$1" "$2" | while read -r unit; do printf 'unit %s failed\n' "$unit"; done
}

# healthy BEFORE STATUS FRONT prints what does not work, and fails if there is anything.
# BEFORE are the units that had failed, STATUS is that of the switch, and FRONT is 0 if
# nginx answered before. All must work at two looks. What may still come up has 30
# seconds; a unit that failed does not come up by itself.
healthy() {
  local found last='' looks=0 over=$((SECONDS + 30)) line
  while :; do
    found=$(wrong "$@")
    if [ -z "$found" ]; then
      looks=$((looks + 1))
      [ "$looks" -lt 2 ] || return 0
    else
      looks=0
      case $found in *" failed") [ "$found" != "$last" ] || break ;; esac
      [ "$SECONDS" -lt "$over" ] || break
    fi
    last=$found
    sleep 2
  done
  while IFS= read -r line; do printf 'failed check: %s\n' "$line"; done <<<"$found"
  return 1
}
