# shellcheck shell=bash
# Puts a process that becomes an environment's user into the slice that limits the
# environment. PAM runs it as root when a session is opened (slices.nix): its
# parent is sshd's process for the connection, or sudo, and the user's processes
# will be children of that. Exit status 0 lets the session go on: the process is
# in its slice, or PAM_USER is no environment.
set -euo pipefail
export PATH=@path@

slice=
while read -r user its; do
  if [ "$user" = "$PAM_USER" ]; then slice=$its; fi
done </etc/hostenv/slices
[ -n "$slice" ] || exit 0

# Its name is new each time, for a scope stays as long as a process that the
# session left behind.
read -r id </proc/sys/kernel/random/uuid
scope="hostenv-$PAM_SERVICE-$id.scope"

# The properties are those of logind's own scopes for sessions: what runs in one is
# hung up at the machine's end, before the network goes, and a process that was
# killed for want of memory does not end the others.
enter() {
  busctl --quiet --timeout=10 call org.freedesktop.systemd1 /org/freedesktop/systemd1 \
    org.freedesktop.systemd1.Manager StartTransientUnit "ssa(sv)a(sa(sv))" "$scope" fail 7 \
    Description s "$PAM_SERVICE session of $PAM_USER" Slice s "$slice" PIDs au 1 "$PPID" \
    SendSIGHUP b true CollectMode s inactive-or-failed OOMPolicy s continue \
    After as 1 systemd-user-sessions.service \
    0
}

inside() {
  local path
  while IFS= read -r path; do
    if [[ $path == *"/$slice/$scope" ]]; then return 0; fi
  done <"/proc/$PPID/cgroup"
  return 1
}

# systemd is away for a moment while a switch has it execute itself anew: then the
# call fails, or its answer is lost.
asked=
until inside; do
  if [ "$SECONDS" -ge 15 ]; then
    printf '%s\n' "the session of $PAM_USER by $PAM_SERVICE is refused, for it cannot be put into $slice: ${said:-systemd has not moved it}" |
      systemd-cat --identifier=hostenv-enter-slice --priority=err || true
    exit 1
  fi
  if [ -z "$asked" ] && said=$(enter 2>&1); then asked=yes; fi
  sleep 0.01
done
