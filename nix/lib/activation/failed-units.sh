# shellcheck shell=bash
# Functions of an activation: which units failed in it, and why. The script that
# activates calls the first before it begins and the second once it has failed;
# hostenv/deploy/said.go reads what that prints.

# failed_units SCOPE lists the units of systemd that have failed, or are started
# again after they have, each with its invocation. SCOPE is --system or --user.
failed_units() {
  local unit
  for unit in $(timeout 10 systemctl "$1" list-units --all --plain --no-legend --full --state=failed,auto-restart | cut -d ' ' -f 1); do
    printf '%s %s\n' "$unit" "$(timeout 10 systemctl "$1" show --value --property=InvocationID -- "$unit")"
  done
} 2>/dev/null

# print_failed_units SCOPE SINCE BEFORE names those that have failed since the list
# BEFORE, with the ends of their journals from SINCE on, in seconds. What they
# wrote is theirs: it is held to so much, and to what can be seen.
print_failed_units() {
  local unit invocation line text try field=--unit told=0
  if [ "$1" = --user ]; then
    field=--user-unit
  fi
  timeout 10 journalctl --sync || true # root alone can ask for it
  failed_units "$1" | while read -r unit invocation; do
    case $'\n'$3$'\n' in *$'\n'"$unit $invocation"$'\n'*) continue ;; esac
    told=$((told + 1))
    if [ "$told" -gt 5 ]; then
      break
    fi
    printf 'failed unit: %s\n' "$unit"
    # The journal may be a little behind: systemd's own word is a unit's last.
    for try in 1 2 3 4 5 6 7 8 9 10; do
      text=$(timeout 10 journalctl --quiet --no-pager --output=cat --lines=12 --since="@$2" "$field=$unit" |
        LC_ALL=C tr -d '\000-\010\013-\037\177' | cut -b 1-400)
      case $text in *"Failed with result"*) break ;; esac
      [ "$try" = 10 ] || sleep 0.2
    done
    printf '%s\n' "$text" | while IFS= read -r line; do
      printf 'failed unit| %s\n' "$line"
    done
  done
} 2>/dev/null
