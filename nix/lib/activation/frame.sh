# shellcheck shell=bash
# An activation, whose log is kept. deploy-rs runs this text on the node, in an
# `else` branch of its own script. Before it stand failed-units.sh, and
# environment.sh or system.sh, which defines `setup` and `activate`.
#
# A deploy that loses its ssh connection learns this by SIGPIPE, at the next line
# that is printed, in the middle of an activation; so does the activation that rolls
# back, which is this script again. Therefore:
#   - `tee -p` reads on and writes the log when the connection is gone, and `cat` after it
#     reads on when tee ends as well, as on a full disk
#   - SIGHUP is ignored, for connections with a terminal
#   - the activation does not read the connection
# A process that the activation leaves in the background must not keep its output
# open: the script waits for it, as ssh does.
#
# A log that cannot be written causes a warning and no more: it must not keep a fix
# from being deployed. The file beside the profile tells the next deploy that this
# path came up.

# The folder of coreutils, with a slash at the end, or empty for PATH. What is
# activated has the PATH that this script was started with.
coreutils=@coreutils@
keep=@keep@ # so many logs
name=@name@
scope=@scope@ # whose systemd has the units: --system or --user
# shellcheck disable=SC2154 # PROFILE is deploy-rs's
activated="$PROFILE.activated"

# with_coreutils FUNCTION ARGUMENT... calls a function that finds coreutils in PATH.
with_coreutils() { PATH=${coreutils:+$coreutils:}$PATH "$@"; }

set -euo pipefail
trap "" HUP
setup
logs="@logs@"
log=/dev/null
if (umask 077 && "${coreutils}mkdir" -p "$logs" && "${coreutils}chmod" 700 "$logs"); then
  old=("$logs"/*.log)
  while [ "${#old[@]}" -ge "$keep" ]; do
    "${coreutils}rm" -f -- "${old[0]}"
    old=("${old[@]:1}")
  done
  TZ=UTC0 printf -v log '%s/%(%Y%m%dT%H%M%SZ)T-%s.log' "$logs" -1 "$$"
  (umask 077 && : >"$log") || log=/dev/null
fi
if [ "$log" = /dev/null ]; then
  printf 'warning: this activation has no log, because %s cannot be written\n' "$logs" >&2
fi
"${coreutils}rm" -f -- "$activated" || true
set +e
(
  path=$(cd -P -- "$PROFILE" && pwd)
  printf -v begun '%(%s)T' -1
  broken=$(with_coreutils failed_units "$scope")
  printf 'activating %s: %s\n' "$name" "$path"
  (
    set -e
    activate
  )
  status=$?
  if [ "$status" = 0 ]; then
    (umask 022 && printf '%s\n' "$path" >"$activated") ||
      printf 'warning: the next deploy activates this path again, because %s cannot be written\n' "$activated"
  else
    with_coreutils print_failed_units "$scope" "$begun" "$broken"
  fi
  printf 'activation of %s ended with exit status %s\n' "$name" "$status"
  exit "$status"
) </dev/null 2>&1 | (
  "${coreutils}tee" -p -- "$log"
  "${coreutils}cat" >/dev/null
)
exit "${PIPESTATUS[0]}"
