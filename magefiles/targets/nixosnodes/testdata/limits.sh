#!/bin/bash
# limits.sh SLICE USER OTHER: what the machine of limits_test.go does when it is up.
# As users of two slices, by the node's own program, it takes memory and a processor.
exec >/dev/ttyS0 2>&1
slice=/sys/fs/cgroup$1 user=$2 other=$3

# as USER: this shell becomes a session of the user's, as sshd's process does.
as() { PAM_USER=$1 PAM_SERVICE=sshd bash /enter-slice; }

for name in "$user" "$other"; do
  (as "$name" && head -c 192M /dev/zero | tail -c 192M >/dev/null)
  printf 'RESULT %s %s\n' "$name" "$?"
done
(as "$user" && SECONDS=0 && while [ "$SECONDS" -lt 2 ]; do :; done)
printf 'RESULT %s\n' "$(grep '^oom_kill ' "$slice/memory.events")" "$(grep '^nr_throttled ' "$slice/cpu.stat")"
systemctl poweroff --force --force
