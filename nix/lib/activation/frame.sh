# shellcheck shell=bash
# Runs an activation, within limits, and keeps its log. deploy-rs runs this text on the
# node, in an `else` branch of its own script. Other files precede it: failed-units.sh,
# processes.sh, go-back.sh, and environment.sh or system.sh, which define `setup`,
# `predecessor` and `activate`.
#
# If the ssh connection is lost during an activation, the next line that it prints
# would end it by SIGPIPE, halfway. The same holds for the activation that rolls
# back, which is this script again. Therefore:
#   - `tee -p` writes the log even when the connection is gone, and `cat` after it
#     reads on if tee ends as well, as on a full disk
#   - SIGHUP is ignored, for connections with a terminal
#   - the activation does not read from the connection
#
# An activation must not hold up a deploy for ever, also if the machine that deploys is
# gone. So this script ends the activation when it takes longer than its limit or prints
# more than the log holds, and fails with status 124: deploy-rs then goes back. What a
# failed activation left behind is ended as well, before the old version is activated. A
# successful one may leave processes. They must close its output: ssh, and so the
# deploy, waits until all writers have closed it. Those that have not are ended.
#
# If activate-rs ends and leaves a path that failed, or that no machine has confirmed, the
# node goes back by itself (go-back.sh).
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
limit=@limit@ # seconds
most=$((64 << 20)) # bytes of output
# How long processes may take to end by themselves, and to close the output.
grace=10
# shellcheck disable=SC2154 # deploy-rs sets PROFILE
activated="$PROFILE.activated"

# with_coreutils FUNCTION ARGUMENT... calls a function with coreutils in its PATH.
with_coreutils() { PATH=${coreutils:+$coreutils:}$PATH "$@"; }

# watch sends this script a signal when the activation is over its limits.
watch() {
  local size line
  while "${coreutils}sleep" 1; do
    IFS= read -r line <"/proc/$BASHPID/stat"
    # Without this script, another process may get its number.
    case ${line##*) } in ?" $$ "*) ;; *) return ;; esac
    # bash counts SECONDS by the seconds of the clock: it adds 1 after less than 1 second.
    if [ "$SECONDS" -gt "$limit" ]; then
      kill -USR1 "$$"
      return
    fi
    size=$("${coreutils}stat" -c %s -- "$log") || continue
    if [ "$size" -ge "$most" ]; then
      kill -USR2 "$$"
      return
    fi
  done
}

# wait_for JOB waits until a process ends, and sets status. It returns early, with false,
# when the activation is over its limits. `wait -f` goes on if the process is stopped.
wait_for() {
  wait -f "$1" 2>/dev/null
  status=$?
  [ -z "$over" ]
}

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
path=$(cd -P -- "$PROFILE" && pwd)
# shellcheck disable=SC2034 # go-back.sh uses it
before=$(with_coreutils predecessor) || true
untouched=$(untouched) || true
"${coreutils}rm" -f -- "$activated" || true
set +e
# Each job gets a process group of its own.
set -m

# The log, descriptor 3. A file that is too large is an error for tee, which reads on.
exec 3> >(
  trap "" XFSZ
  ulimit -f $((most >> 10))
  "${coreutils}tee" -p -- "$log"
  "${coreutils}cat" >/dev/null
)
reader=$!

printf -v begun '%(%s)T' -1
broken=$(with_coreutils failed_units "$scope")
jobs=$(with_coreutils unit_jobs "$scope")
printf 'activating %s: %s\n' "$name" "$path" >&3
over=
trap 'over=time' USR1
trap 'over=output' USR2
SECONDS=0
(
  set -e
  activate
) </dev/null >&3 2>&3 3>&- &
activation=$!
watch </dev/null >/dev/null 2>&1 3>&- &
watcher=$!
disown "$watcher"

if ! wait_for "$activation"; then
  # If the activation waits for units of systemd, it ends by itself when it no longer
  # has to.
  if [ "$over" = time ] && with_coreutils cancel_jobs "$scope" "$jobs" >&3; then
    all_ended 30 activation_processes
  fi
  end_processes "$grace" activation_processes
  # The last line of what was ended can be incomplete.
  case $over in
    time) printf '\nactivation of %s took longer than %s seconds, and was ended\n' "$name" "$limit" >&3 ;;
    output) printf '\nactivation of %s printed more than %s MiB, and was ended\n' "$name" "$((most >> 20))" >&3 ;;
  esac
  over=
  wait_for "$activation"
  status=124
fi
trap "" USR1 USR2
kill -- "-$watcher" 2>/dev/null
if [ "$status" = 0 ]; then
  (umask 022 && printf '%s\n' "$path" >"$activated") ||
    printf 'warning: the next deploy activates this path again, because %s cannot be written\n' "$activated" >&3
  if ! all_ended "$grace" output_processes; then
    # shellcheck disable=SC2154 # of processes.sh
    left=${found[*]}
    end_processes "$grace" output_processes
    printf '\nactivation of %s left processes that kept its output open, and that were ended: %s\n' "$name" "$left" >&3
  fi
else
  end_processes "$grace" activation_processes output_processes
  [ -z "$ended" ] || printf '\n' >&3
  with_coreutils print_failed_units "$scope" "$begun" "$broken" >&3
fi
printf 'activation of %s ended with exit status %s\n' "$name" "$status" >&3
exec 3>&-
# A process that we cannot end can still write to the log.
{
  "${coreutils}sleep" "$grace"
  end_processes 0 reader_processes
} </dev/null >/dev/null 2>&1 &
watcher=$!
disown "$watcher"
wait "$reader"
kill -- "-$watcher" 2>/dev/null
go_back "$status" "$untouched"
exit "$status"
