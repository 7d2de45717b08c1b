# shellcheck shell=bash disable=SC2034,SC2154
# Functions of an activation: which processes belong to it, and how they are ended.
# frame.sh sets activation and reader, the processes that run the activation and write
# its log.

# look reads the processes that this user can see into the arrays parent and group.
look() {
  local file line pid
  parent=() group=()
  for file in /proc/[0-9]*/stat; do
    line=
    # The name of a program may hold anything, also line breaks and parentheses.
    { IFS= read -r -d '' line <"$file"; } 2>/dev/null
    pid=${file//[!0-9]/}
    # shellcheck disable=SC2086 # a field for each word
    set -- ${line##*) }
    if [ "$#" -gt 3 ] && [ "$1" != Z ]; then parent[pid]=$2 group[pid]=$3; fi
  done
}

# below PID ROOT reports whether a process is ROOT, or ROOT started it.
below() {
  local at=$1
  while [ "${at:-0}" -gt 1 ]; do
    [ "$at" != "$2" ] || return 0
    at=${parent[at]-}
  done
  return 1
}

# session_processes prints the processes of the scope that PAM has put this session into
# (nix/modules/hostenv-enter-slice.sh), and nothing without one.
session_processes() {
  local line
  while IFS= read -r line; do
    case $line in 0::*/hostenv-sudo-*.scope) printf '%s\n' "$(<"/sys/fs/cgroup${line#0::}/cgroup.procs")" ;; esac
  done </proc/self/cgroup
} 2>/dev/null

# The following set the array found.
found=()

# activation_processes finds the processes of the activation: those that it started, those
# of its process group, and all of the session that are not this script, or above it. A
# process leaves the first two if it likes, but not the third.
activation_processes() {
  local -a parent group
  local pid
  look
  found=()
  for pid in "${!parent[@]}"; do
    if [ "${group[pid]}" = "$activation" ] || below "$pid" "$activation"; then
      found+=("$pid")
    fi
  done
  for pid in $(session_processes); do
    if [ -n "${parent[pid]-}" ] && ! below "$pid" "$$" && ! below "$$" "$pid"; then
      found+=("$pid")
    fi
  done
}

# output_processes finds processes of the activation that can write to its log.
output_processes() {
  local -a parent group
  local pid fd
  look
  found=()
  for pid in "${!parent[@]}"; do
    if ! below "$pid" "$$" || below "$pid" "$activation"; then
      for fd in "/proc/$pid/fd/"*; do
        if [ "$fd" -ef "/proc/$$/fd/3" ]; then
          found+=("$pid")
          break
        fi
      done
    fi
  done
}

# reader_processes finds the processes that write the log.
reader_processes() {
  local -a parent group
  local pid
  look
  found=()
  for pid in "${!parent[@]}"; do
    if below "$pid" "$reader"; then
      found+=("$pid")
    fi
  done
}

# all_ended SECONDS FUNCTION waits until FUNCTION finds no process. It is false if it
# still does.
all_ended() {
  local deadline=$((SECONDS + $1)) pause=0.05
  while "$2" && [ "${#found[@]}" -gt 0 ]; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    "${coreutils}sleep" "$pause"
    pause=0.2
  done
}

# end_processes SECONDS FUNCTION... ends the processes that each FUNCTION finds: first
# with SIGTERM, and after SECONDS with SIGKILL. A process that is stopped gets SIGTERM when
# it continues. It sets ended if there were any.
ended=
end_processes() {
  local seconds=$1 function
  shift
  for function; do
    "$function"
    [ "${#found[@]}" -gt 0 ] || continue
    ended=yes
    kill -TERM "${found[@]}"
    kill -CONT "${found[@]}"
    # New processes may have been started meanwhile.
    for _ in 1 2 3 4 5; do
      ! all_ended "$seconds" "$function" || break
      kill -KILL "${found[@]}"
      seconds=1
    done
  done
} 2>/dev/null
