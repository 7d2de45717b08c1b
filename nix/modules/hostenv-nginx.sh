# shellcheck shell=bash
# Starts the front door's nginx, and updates a running nginx to the system's current
# program and configuration without losing a request. nginx-upgrade.nix makes this
# program the ExecStart and ExecReload of nginx.service.
#
#   hostenv-nginx start    starts nginx, and exits when it runs
#   hostenv-nginx reload   loads a new configuration by SIGHUP, a new program by SIGUSR2
#   hostenv-nginx switch   reloads nginx.service, and prints its log if that fails
#   hostenv-nginx check    warns about settings of the unit that nginx runs without
#
# A new program takes over as nginx documents it: the old master starts the new one,
# which inherits the listening sockets, and both serve. Once the new one has workers,
# a signal makes the old one finish its requests. If the new one fails before that,
# the old one continues.
set -euo pipefail

# The path of the program is the same in every system, because a master starts the
# next one with its own command line.
nginx=@nginx@
config=@config@
pidfile=@pidfile@
# The unit's settings: those of the system, and those that nginx was started with.
settings=@settings@
started=@started@
# Time limit of each step, in seconds. A machine that is not overloaded needs less.
stepTimeout=20

say() { printf '%s\n' "$1" >&2; }

fail() {
  say "error: $1"
  [ -z "${2-}" ] || say "hint: $2"
  exit 1
}

# pid prints the process ID of the master, and no output if there is none.
pid() {
  local number=
  { read -r number <"$pidfile"; } 2>/dev/null || true
  if [[ $number =~ ^[0-9]+$ ]] && [ -d "/proc/$number" ]; then printf %s "$number"; fi
}

# title PID prints the title of a process: "nginx: worker process".
title() {
  local text=
  { IFS= read -r -d '' text <"/proc/$1/cmdline"; } 2>/dev/null || true
  printf %s "$text"
}

# children PID prints the IDs of the child processes, with a space around each.
children() {
  local status key value
  printf ' '
  for status in /proc/[0-9]*/status; do
    {
      while read -r key value; do
        if [ "$key" = PPid: ]; then
          [ "$value" != "$1" ] || printf '%s ' "${status//[^0-9]/}"
          break
        fi
      done <"$status"
    } 2>/dev/null || true # the process has ended
  done
}

# parent PID prints the ID of the parent process.
parent() {
  local key value
  { while read -r key value; do [ "$key" != PPid: ] || printf %s "$value"; done <"/proc/$1/status"; } 2>/dev/null || true
}

# serves MASTER [BEFORE] reports whether the master has a serving worker that is not
# in BEFORE.
serves() {
  local child
  for child in $(children "$1"); do
    [[ ${2-} == *" $child "* ]] || [ "$(title "$child")" != "nginx: worker process" ] || return 0
  done
  return 1
}

# finishes MASTER NEXT reports whether the master has ended, or its workers take no
# new requests. NEXT is the new master, a child of the old one.
finishes() {
  local child any=
  [[ $(title "$1") == "nginx: master process"* ]] || return 0
  for child in $(children "$1"); do
    [ "$child" != "$2" ] || continue
    any=yes
    [[ $(title "$child") == *"is shutting down" ]] || return 1
  done
  # A master without workers is about to end.
  [ -n "$any" ]
}

# eventually COMMAND... repeats the command until it succeeds or the time is over.
eventually() {
  local end=$((SECONDS + stepTimeout))
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.05
  done
}

start() {
  local master
  # nginx ignores SIGUSR2 while the process that started it runs. So this program
  # exits, and systemd finds the master by its PID file.
  "$nginx" -c "$config" &
  master=$!
  until [ "$(pid)" = "$master" ]; do
    if ! kill -0 "$master" 2>/dev/null; then
      wait "$master" || exit "$?" # nginx has printed the reason
      fail "nginx ended as soon as it was started"
    fi
    sleep 0.05
  done
}

reload() {
  local master before wanted current
  master=$(pid)
  [ -n "$master" ] || fail "nginx does not run" "systemctl start nginx"
  wanted=$(readlink -f -- "$nginx") || fail "there is no $nginx"
  "$nginx" -t -q -c "$config" || fail "$wanted cannot load $config: nginx continues unchanged"
  current=$(readlink -- "/proc/$master/exe") || fail "nginx ended during the reload"

  if [[ $(title "$master") != "nginx: master process $nginx "* ]]; then
    say "warning: nginx was started by an older system, and cannot be replaced while it runs: run systemctl restart nginx at a quiet time"
  elif [ "$current" != "$wanted" ]; then
    replace "$master" "$current" "$wanted"
    return
  fi
  before=$(children "$master")
  kill -HUP "$master"
  if eventually serves "$master" "$before"; then
    return
  fi
  # nginx cannot apply some changes by a reload, such as another size of shared memory.
  [[ $(title "$master") == "nginx: master process $nginx "* ]] || fail "nginx did not load $config, and keeps its present configuration" "systemctl restart nginx"
  say "nginx cannot load $config by a reload: replacing nginx"
  replace "$master" "$current" "$wanted"
}

# decided OLD CHANGED succeeds when the outcome is known, and sets next to the master
# that serves: a new one, or the old one if the new one ended. In the second case the
# old master has restored its PID file, so the file's time is not CHANGED. Read the
# time before the file, because the file can change in between.
decided() {
  local time
  time=$(stat -c %z -- "$pidfile" 2>/dev/null) || time=$2
  next=$(pid)
  if [ "$next" = "$1" ]; then
    [ "$time" != "$2" ]
  else
    [ -n "$next" ] && serves "$next"
  fi
}

isMaster() { [ "$(pid)" = "$1" ]; }
orphaned() { [[ $(children "$2") != *" $1 "* ]]; }

# retire OLD NEW kills an old master when its workers only finish their requests, for
# which they do not need it. While the old master runs, nginx cannot be replaced
# again, and systemd does not notice when the new master, its child, ends.
retire() {
  eventually finishes "$1" "$2" || return 1
  kill -KILL "$1" 2>/dev/null || true
  eventually orphaned "$2" "$1" || return 1
  rm -f -- "$pidfile.oldbin"
}

# replace OLD CURRENT WANTED replaces the master OLD, which runs the program CURRENT, by
# a master of the program WANTED.
replace() {
  local old=$1 older changed child next=
  older=$(parent "$old")
  if [[ $(title "$older") == "nginx: master process"* ]] && ! retire "$older" "$old"; then
    fail "$2 cannot be replaced while workers of the nginx before it still serve requests: nginx continues unchanged" "systemctl restart nginx"
  fi
  changed=$(stat -c %z -- "$pidfile")
  kill -USR2 "$old"
  if ! eventually decided "$old" "$changed" || [ "$next" = "$old" ]; then
    for child in $(children "$old"); do
      [[ $(title "$child") == "nginx: "[wc]* ]] || kill -QUIT "$child" 2>/dev/null || true
    done
    eventually isMaster "$old" || true
    fail "$3 did not start: $2 continues, with its present configuration" "journalctl -u nginx shows its error messages"
  fi
  kill -QUIT "$old"
  retire "$old" "$next" || say "warning: workers of $2 still serve requests"
  say "$3 has taken over from $2"
}

# switch copies the log of nginx.service into the journal of the unit that fails,
# because a deploy shows that journal.
switch() {
  local since
  since=$(date +%s)
  systemctl reload nginx.service && return
  journalctl _SYSTEMD_UNIT=nginx.service --since="@$since" --output=cat --no-pager --lines=8 >&2 || true
  exit 1
}

# check compares the settings that nginx was started with to those of the system. It
# prints no output if nginx does not run.
check() {
  local names
  [ -n "$(pid)" ] || return 0
  if [ ! -e "$started" ]; then
    say "warning: nginx was started by an older system, and has the settings of that system's unit: run systemctl restart nginx at a quiet time"
    return
  fi
  names=$({ grep -vxFf "$started" -- "$settings" || true; grep -vxFf "$settings" -- "$started" || true; } | cut -d= -f1 | sort -u | tr '\n' ' ')
  if [ -n "$names" ]; then
    say "warning: these settings have changed since nginx was started: ${names% }: run systemctl restart nginx at a quiet time"
  fi
}

case "$#:${1-}" in
  1:start | 1:reload | 1:switch | 1:check) "$1" ;;
  *) fail "usage: hostenv-nginx start, reload, switch or check" ;;
esac
