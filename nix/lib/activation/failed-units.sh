# shellcheck shell=bash
# Functions of an activation: which units failed in it, and why. The activation
# script calls failed_units before it begins, and print_failed_units if it fails.
# hostenv/deploy/failure.go reads the output.

# failed_units SCOPE lists the systemd units that have failed or that systemd
# restarts after a failure, each with its invocation ID. SCOPE is --system or --user.
failed_units() {
  local unit
  for unit in $(timeout 60 systemctl "$1" list-units --all --plain --no-legend --full --state=failed,auto-restart | cut -d ' ' -f 1); do
    printf '%s %s\n' "$unit" "$(timeout 60 systemctl "$1" show --value --property=InvocationID -- "$unit")"
  done
} 2>/dev/null

# failed_jobs prints the units of which systemctl says in the log that their start failed.
# systemd may have restarted such a unit by now, and then failed_units does not have it.
# shellcheck disable=SC2154 # frame.sh sets log
failed_jobs() {
  local line form='^Job for ([A-Za-z0-9:_.@\\-]+) failed because '
  tail -c 65536 -- "$log" | while IFS= read -r line; do
    if [[ $line =~ $form ]]; then
      printf '%s job\n' "${BASH_REMATCH[1]}"
    fi
  done
} 2>/dev/null

# print_failed_units SCOPE SINCE BEFORE prints the units that have failed since the
# list BEFORE, and the end of each unit's journal since the time SINCE, in seconds.
# A customer's unit can write anything to its journal: the output is limited in
# length, and control characters are removed.
print_failed_units() {
  local unit invocation line text try field=--unit printed=0 seen=' '
  if [ "$1" = --user ]; then
    field=--user-unit
  fi
  timeout 10 journalctl --sync || true # only root may do this
  { failed_units "$1"; failed_jobs; } | while read -r unit invocation; do
    case $'\n'$3$'\n' in *$'\n'"$unit $invocation"$'\n'*) continue ;; esac
    case $seen in *" $unit "*) continue ;; esac
    seen+="$unit "
    printed=$((printed + 1))
    if [ "$printed" -gt 5 ]; then
      break
    fi
    printf 'failed unit: %s\n' "$unit"
    # The journal can lag behind. It is complete when it has systemd's own message
    # about the failure, which is the last one of the unit.
    for try in 1 2 3 4 5 6 7 8 9 10; do
      text=$(timeout 60 journalctl --quiet --no-pager --output=cat --lines=12 --since="@$2" "$field=$unit" |
        LC_ALL=C tr -d '\000-\010\013-\037\177' | cut -b 1-400)
      case $text in *"Failed with result"*) break ;; esac
      [ "$try" = 10 ] || sleep 0.2
    done
    printf '%s\n' "$text" | while IFS= read -r line; do
      printf 'failed unit| %s\n' "$line"
    done
  done
} 2>/dev/null

# unit_jobs SCOPE lists the numbers of the jobs that systemd has not finished.
unit_jobs() {
  timeout 60 systemctl "$1" list-jobs --no-legend --plain --full | while read -r job _; do
    printf '%s\n' "$job"
  done
} 2>/dev/null

# cancel_jobs SCOPE BEFORE cancels the jobs that are not in the list BEFORE, such as the
# start of a unit that hangs: systemd has no limit for units of the type oneshot. It
# prints the units, and is false if there are none. A unit that hangs stays as it is:
# systemd ends it when the old version stops or restarts it.
cancel_jobs() {
  local job unit state cancelled=1
  while read -r job unit _ state; do
    case $'\n'$2$'\n' in *$'\n'"$job"$'\n'*) continue ;; esac
    if [ "$state" = running ]; then
      printf 'hanging unit: %s\n' "$unit"
    fi
    timeout 60 systemctl "$1" cancel "$job" && cancelled=0
  done < <(timeout 60 systemctl "$1" list-jobs --no-legend --plain --full)
  return "$cancelled"
} 2>/dev/null
