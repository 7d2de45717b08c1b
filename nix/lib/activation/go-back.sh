# shellcheck shell=bash disable=SC2034,SC2154
# How a node goes back by itself. If an activation fails, or no machine confirms it,
# activate-rs goes back, by `nix-env` and the activation of the generation before. But it
# prints meanwhile, and ends of that once the connection of the machine that deploys is
# gone. So a process waits for the end of activate-rs, and does what it did not. frame.sh
# sets scope, path, before, activated and log.

# returns OPTION reports whether our parent is activate-rs, activates this path, and goes
# back if that fails (--auto-rollback) or is not confirmed (--magic-rollback): an
# activation that goes back has another parent, or another path. It sets temp, and
# patience, the seconds that it waits for a confirmation.
returns() {
  local -a words
  local at
  mapfile -d '' -t words <"/proc/$PPID/cmdline" || return
  temp='' patience=''
  for at in "${!words[@]}"; do
    case ${words[at]} in
      --temp-path) temp=${words[at + 1]-} ;;
      --confirm-timeout) patience=${words[at + 1]-} ;;
    esac
  done
  case $patience in '' | *[!0-9]*) patience=30 ;; esac
  case " ${words[*]} " in *" activate $path "*" $1 "*) [ -n "$temp" ] ;; *) false ;; esac
} 2>/dev/null

# untouched prints when a file was last added to the folder of the canary, or removed from
# it. activate-rs makes the canary after the activation, and it is removed to confirm.
untouched() {
  if returns --magic-rollback; then "${coreutils}stat" -c %y -- "$temp"; fi
} 2>/dev/null

# go_back STATUS UNTOUCHED starts what waits, after an activation that ended with STATUS.
# UNTOUCHED is what untouched printed before it.
#
# The command line of what waits is that of the activation that it may become: so other
# deploys wait for it (hostenv/deploy/remote/observe.go). After an activation that failed,
# the file of the last success is empty until another activation begins. As long as it
# then waits it keeps the connection open, which deploy-rs waits for: what the machine
# that deploys sees and does comes later.
#
# An activation that succeeded was not confirmed if its canary is still there, or if
# activate-rs ended before it made one. Then what waits makes it, and waits for its removal
# in place of activate-rs: the machine that deploys may have lost a connection, and reach
# the node over a new one. If we cannot tell, the system stays. That of an environment
# always stays: no environment can keep a connection from its node.
go_back() {
  local option=--magic-rollback content=$path canary=${path##*/} shown
  [ "$1" = 0 ] || option=--auto-rollback content=
  [ "$1" != 0 ] || [ "$scope" = --system ] || return 0
  [ -n "$before" ] && [ "$before" != "$path" ] && returns "$option" || return 0
  if [ "$1" = 0 ]; then
    exec 4>/dev/null
  else
    exec 4>&1
    (umask 022 && printf '' >"$activated") 2>/dev/null || return 0
  fi
  canary=$temp/deploy-rs-canary-${canary%%-*}
  shown=(activate-rs activate "$before" --profile-path "$PROFILE" --temp-path "$temp" --confirm-timeout 30)
  # shellcheck disable=SC2016 # these are variables of the script
  coreutils=$coreutils parent=$PPID path=$path before=$before activated=$activated content=$content \
    temp=$temp canary=$canary untouched=$2 status=$1 patience=$patience "$BASH" -c '
    # fresh is false if another activation has begun.
    fresh() {
      [ -f "$activated" ] && [ "$(<"$activated")" = "$content" ] || return
      case $(cd -P -- "$PROFILE" && pwd) in "$path" | "$before") ;; *) return 1 ;; esac
    }
    # Who removes the canary decides: the machine that deploys, or we.
    confirmed() {
      if ! [ -e "$canary" ]; then
        { [ -n "$untouched" ] && [ "$("${coreutils}stat" -c %y -- "$temp")" = "$untouched" ]; } || return 0
        : >"$canary" || return
      fi
      while [ "$SECONDS" -lt "$patience" ] && [ -e "$canary" ]; do "${coreutils}sleep" 0.2; done
      ! "${coreutils}rm" -- "$canary"
    }
    cd "/proc/$parent" && while [ -e stat ]; do "${coreutils}sleep" 0.2; done
    cd /
    fresh || exit
    why="has not gone back"
    if [ "$status" = 0 ]; then
      why="no machine has confirmed the activation"
      ! confirmed && fresh || exit
    fi
    exec 4>&-
    echo "activate-rs has ended, and $why: going back to $before"
    set -- activate "$before" --profile-path "$PROFILE" --temp-path "$temp" --confirm-timeout 30
    export -n coreutils parent path before activated content temp canary untouched status patience
    if [ -x "$before/activate-rs" ]; then exec "$before/activate-rs" "$@"; fi
    # A system that deploy-rs did not deploy has no activate-rs.
    [ -x "$before/bin/switch-to-configuration" ] && nix-env -p "$PROFILE" --set "$before" && exec "$before/bin/switch-to-configuration" switch
  ' "${shown[@]}" </dev/null >>"$log" 2>&1 &
  exec 4>&-
  disown
}
