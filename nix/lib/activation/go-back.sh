# shellcheck shell=bash
# Goes back if deploy-rs cannot. activate-rs, which goes back if an activation fails or
# is not confirmed, prints while it does so, and dies of that once the connection of the
# machine that deploys is gone. So an activation of a system starts this text beside it,
# as a unit of systemd, which waits for the end of activate-rs.

# predecessor prints the generation of the profile whose system runs.
predecessor() {
  local link running
  running=$(readlink -f /run/current-system/activate) || return 0
  for link in "$PROFILE"-*-link; do
    [ "$(readlink -f "$link/activate")" != "$running" ] || readlink -f "$link"
  done | tail -n 1
} 2>/dev/null

# option NAME prints an option's value in the command line of activate-rs, or the
# option, if it has no value.
option() {
  local word last=''
  while IFS= read -r -d '' word; do
    if [ "$last" = "$1" ]; then
      printf '%s\n' "$word"
      return
    fi
    last=$word
    [ "$word" != "$1" ] || case $1 in --auto-rollback | --magic-rollback) printf '%s\n' "$1" && return ;; esac
  done <"/proc/$PPID/cmdline"
} 2>/dev/null

# go_back_later PATH WHY starts what goes back to PATH if activate-rs ends before it has: WHY is
# "failed" after a failure, or "unconfirmed" before a confirmation.
go_back_later() {
  local new
  new=$(readlink -f "$PROFILE")
  [ -n "$1" ] && [ "$1" != "$new" ] && command -v systemd-run >/dev/null || return 0
  case $2 in
  failed) [ -n "$(option --auto-rollback)" ] || return 0 ;;
  unconfirmed) [ -n "$(option --magic-rollback)" ] || return 0 ;;
  esac
  systemd-run --quiet --collect --setenv=PATH="$PATH" --setenv=PROFILE="$PROFILE" \
    --setenv=HOSTENV_GO_BACK="$2 $PPID $new $1 $(option --temp-path)" -- "$BASH" "$0" </dev/null >/dev/null 2>&1 ||
    printf 'warning: if the connection is lost now, the node cannot go back by itself\n'
}

# go_back WHY PID NEW OLD TEMP waits for the end of activate-rs, and goes back from NEW to
# OLD unless that is done. A deploy that still runs takes the node back itself, so we
# leave it some time; and we leave the profile alone if it has another path by then.
#
# An activation that waits for its confirmation has a canary, which the confirmation
# removes. If activate-rs dies before it makes one, we cannot know, and stay.
go_back() {
  local hash canary
  hash=${3#/nix/store/}
  canary=$5/deploy-rs-canary-${hash%%-*}
  while [ -e "/proc/$2" ]; do sleep 1; done
  sleep 15
  while grep -qsaF -e --profile-path -e /switch-to-configuration /proc/[0-9]*/cmdline; do sleep 1; done
  [ "$1" = failed ] || [ -e "$canary" ] || return 0
  case $(readlink -f "$PROFILE") in
  "$4") [ "$(readlink -f "$4/activate")" != "$(readlink -f /run/current-system/activate)" ] || return 0 ;;
  "$3") nix-env -p "$PROFILE" --set "$4" ;;
  *) return 0 ;;
  esac
  rm -f "$canary"
  if [ -x "$4/deploy-rs-activate" ]; then
    cd "$PROFILE" || return
    exec "$4/deploy-rs-activate"
  fi
  exec "$4/bin/switch-to-configuration" switch
}
