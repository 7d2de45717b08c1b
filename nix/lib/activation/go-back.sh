# shellcheck shell=bash disable=SC2034,SC2154
# How a node goes back by itself. If an activation fails, activate-rs goes back, by
# `nix-env` and the activation of the generation before. But it prints meanwhile, and ends
# of that once the connection of the machine that deploys is gone. So a process waits for
# the end of activate-rs, and does what it did not. frame.sh sets path, before, activated
# and log.

# returns reports whether our parent is activate-rs, activates this path, and goes back if
# that fails: an activation that goes back has another parent, or another path. It sets
# temp.
returns() {
  local -a words
  local at
  mapfile -d '' -t words <"/proc/$PPID/cmdline" || return
  temp=
  for at in "${!words[@]}"; do
    [ "${words[at]}" != --temp-path ] || temp=${words[at + 1]-}
  done
  case " ${words[*]} " in *" activate $path "*" --auto-rollback "*) [ -n "$temp" ] ;; *) false ;; esac
} 2>/dev/null

# go_back starts what waits. Its command line is that of the activation that it becomes:
# so other deploys wait for it (hostenv/deploy/remote/observe.go). The file of the last
# success is empty until another activation begins.
#
# As long as it waits it keeps the connection open, which deploy-rs then waits for: what
# the machine that deploys sees and does comes later.
go_back() {
  [ -n "$before" ] && [ "$before" != "$path" ] && returns || return 0
  (umask 022 && : >"$activated") 2>/dev/null || return 0
  # shellcheck disable=SC2016 # these are variables of the script
  coreutils=$coreutils parent=$PPID path=$path activated=$activated "$BASH" -c '
    cd "/proc/$parent" && while [ -e stat ]; do "${coreutils}sleep" 0.2; done
    cd /
    [ -f "$activated" ] && [ ! -s "$activated" ] || exit
    case $(cd -P -- "$4" && pwd) in "$path" | "$2") ;; *) exit ;; esac
    exec 4>&-
    echo "activate-rs has ended and has not gone back: going back to $2"
    if [ -x "$2/activate-rs" ]; then exec "$2/activate-rs" "$@"; fi
    # A system that deploy-rs did not deploy has no activate-rs.
    [ -x "$2/bin/switch-to-configuration" ] && nix-env -p "$4" --set "$2" && exec "$2/bin/switch-to-configuration" switch
  ' activate-rs activate "$before" --profile-path "$PROFILE" --temp-path "$temp" --confirm-timeout 30 \
    4>&1 </dev/null >>"$log" 2>&1 &
  disown
}
