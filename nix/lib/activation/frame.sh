# shellcheck shell=bash
# Runs an activation and keeps its log. deploy-rs runs this text on the node, in an
# `else` branch of its own script. failed-units.sh precedes it, and environment.sh or
# system.sh, which defines `setup` and `activate`.
#
# If the ssh connection is lost during an activation, the next line that it prints
# would end it by SIGPIPE, halfway. The same holds for the activation that rolls
# back, which is this script again. Therefore:
#   - `tee -p` writes the log even when the connection is gone, and `cat` after it
#     reads on if tee ends as well, as on a full disk
#   - SIGHUP is ignored, for connections with a terminal
#   - the activation does not read from the connection
# A process that the activation leaves in the background must close its output: this
# script waits until all writers have closed it, and so does ssh.
#
# If the log cannot be written, the script only prints a warning: a full disk must
# not keep a fix from being deployed. From the file beside the profile the next
# deploy learns that this path was activated successfully.

# The folder of coreutils, with a slash at the end, or empty to use PATH. The
# activated program gets the PATH that this script was started with.
coreutils=@coreutils@
keep=@keep@ # the number of logs
name=@name@
scope=@scope@ # which systemd runs the units: --system or --user
# shellcheck disable=SC2154 # deploy-rs sets PROFILE
activated="$PROFILE.activated"

# with_coreutils FUNCTION ARGUMENT... calls a function with coreutils in its PATH.
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
