# shellcheck shell=bash
# Starts the front door's nginx, and updates a running nginx to the system's current
# program and configuration without losing a request. nginx-upgrade.nix makes this
# program the ExecStart and ExecReload of nginx.service.
#
#   hostenv-nginx start    starts nginx, and exits when it runs
#   hostenv-nginx reload   loads a new configuration by SIGHUP, a new program by SIGUSR2
#   hostenv-nginx switch   reloads nginx.service, and prints its log if that fails
#   hostenv-nginx kept     warns about settings of the unit that nginx runs without
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
patience=20

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
  local end=$((SECONDS + patience))
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
  local master before want runs
  master=$(pid)
  [ -n "$master" ] || fail "there is no nginx to reload" "systemctl start nginx"
  want=$(readlink -f -- "$nginx") || fail "there is no $nginx"
  "$nginx" -t -q -c "$config" || fail "nginx goes on as it is, for $want does not take $config"
  runs=$(readlink -- "/proc/$master/exe") || fail "nginx ended while it was reloaded"

  if [[ $(title "$master") != "nginx: master process $nginx "* ]]; then
    say "warning: nginx was started by an older system, and cannot be replaced while it runs: systemctl restart nginx, when it suits"
  elif [ "$runs" != "$want" ]; then
    replace "$master" "$runs" "$want"
    return
  fi
  before=$(children "$master")
  kill -HUP "$master"
  if eventually serves "$master" "$before"; then
    return
  fi
  # nginx cannot apply some changes by a reload, such as another size of shared memory.
  [[ $(title "$master") == "nginx: master process $nginx "* ]] || fail "nginx did not take $config, and goes on with what it had" "systemctl restart nginx"
  say "nginx does not take $config by a reload, and is replaced"
  replace "$master" "$runs" "$want"
}

# came OLD CHANGED succeeds when the outcome is known, and sets next to the master
# that serves: a new one, or the old one if the new one ended. In the second case the
# old master has restored its PID file, so the file's time is not CHANGED. Read the
# time before the file, because the file can change in between.
came() {
  local time
  time=$(stat -c %z -- "$pidfile" 2>/dev/null) || time=$2
  next=$(pid)
  if [ "$next" = "$1" ]; then
    [ "$time" != "$2" ]
  else
    [ -n "$next" ] && serves "$next"
  fi
}

is() { [ "$(pid)" = "$1" ]; }
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

# replace OLD RUNS WANT replaces the master OLD, which runs the program RUNS, by a
# master of the program WANT.
replace() {
  local old=$1 older changed child next=
  older=$(parent "$old")
  if [[ $(title "$older") == "nginx: master process"* ]] && ! retire "$older" "$old"; then
    fail "$2 goes on as it is: it cannot be replaced as long as the nginx before it has workers that do not finish" "systemctl restart nginx"
  fi
  changed=$(stat -c %z -- "$pidfile")
  kill -USR2 "$old"
  if ! eventually came "$old" "$changed" || [ "$next" = "$old" ]; then
    for child in $(children "$old"); do
      [[ $(title "$child") == "nginx: "[wc]* ]] || kill -QUIT "$child" 2>/dev/null || true
    done
    eventually is "$old" || true
    fail "$3 did not start: $2 serves on, with the configuration that it had" "journalctl -u nginx has what it said"
  fi
  kill -QUIT "$old"
  retire "$old" "$next" || say "warning: workers of $2 do not finish"
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

# kept compares the settings that nginx was started with to those of the system. It
# prints no output if nginx does not run.
kept() {
  local names
  [ -n "$(pid)" ] || return 0
  if [ ! -e "$started" ]; then
    say "warning: nginx was started by an older system, whose unit it has: systemctl restart nginx, when it suits"
    return
  fi
  names=$({ grep -vxFf "$started" -- "$settings" || true; grep -vxFf "$settings" -- "$started" || true; } | cut -d= -f1 | sort -u | tr '\n' ' ')
  if [ -n "$names" ]; then
    say "warning: nginx runs with the settings that it was started with, and these have changed: ${names% }: systemctl restart nginx, when it suits"
  fi
}

case "$#:${1-}" in
  1:start | 1:reload | 1:switch | 1:kept) "$1" ;;
  *) fail "hostenv-nginx takes start, reload, switch or kept" ;;
esac
