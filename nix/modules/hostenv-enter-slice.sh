# shellcheck shell=bash
# Moves a new session of an environment's user into the slice that limits the
# environment. PAM runs this program as root when a session is opened (slices.nix).
# Its parent, which is moved, is sshd's process for the connection, or sudo: the
# user's processes will be children of it. Exit status 0 allows the session: the
# process is in its slice, or PAM_USER is not an environment's user.
set -euo pipefail
export PATH=@path@

slice='' time=''
while read -r user name seconds; do
  if [ "$user" = "$PAM_USER" ]; then slice=$name time=$seconds; fi
done </etc/hostenv/slices
[ -n "$slice" ] || exit 0

# The name is unique, because the scope of an earlier session exists as long as a
# process in it still runs.
read -r id </proc/sys/kernel/random/uuid
scope="hostenv-$PAM_SERVICE-$id.scope"

# An activation watches its own time (nix/lib/activation/frame.sh). But its processes
# belong to the customer, who can stop it: then systemd ends the scope. The parent is
# sudo, with the command that it runs.
limits=() count=7
if [ "$PAM_SERVICE" = sudo ] && [ -n "$time" ]; then
  while IFS= read -r -d '' word; do
    case $word in */activate-rs) limits=(RuntimeMaxUSec t "${time}000000") count=8 ;; esac
  done <"/proc/$PPID/cmdline"
fi

# The other properties are those of logind's session scopes: at shutdown, processes get
# SIGHUP before the network stops, and if one process is killed for lack of memory,
# the others continue.
enter() {
  busctl --quiet --timeout=10 call org.freedesktop.systemd1 /org/freedesktop/systemd1 \
    org.freedesktop.systemd1.Manager StartTransientUnit "ssa(sv)a(sa(sv))" "$scope" fail "$count" \
    Description s "$PAM_SERVICE session of $PAM_USER" Slice s "$slice" PIDs au 1 "$PPID" \
    SendSIGHUP b true CollectMode s inactive-or-failed OOMPolicy s continue \
    After as 1 systemd-user-sessions.service "${limits[@]}" \
    0
}

inside() {
  local path
  while IFS= read -r path; do
    if [[ $path == *"/$slice/$scope" ]]; then return 0; fi
  done <"/proc/$PPID/cgroup"
  return 1
}

# During a switch systemd re-executes itself, and for a moment does not answer: the
# call fails, or its reply is lost.
asked=
until inside; do
  if [ "$SECONDS" -ge 15 ]; then
    printf '%s\n' "refused the session of $PAM_USER by $PAM_SERVICE, because it cannot be put into $slice: ${output:-systemd has not moved it}" |
      systemd-cat --identifier=hostenv-enter-slice --priority=err || true
    exit 1
  fi
  if [ -z "$asked" ] && output=$(enter 2>&1); then asked=yes; fi
  # The limit is a last resort: without it the session is still in its slice.
  case ${output-} in *RuntimeMaxUSec*) limits=() count=7 ;; esac
  sleep 0.01
done
