#!/bin/bash
# Runs a separate systemd for one user, and then a command, which finds it by
# XDG_RUNTIME_DIR=/run/user/<uid>, as on a node:
#
#   systemd.sh SYSTEMD UNITS COMMAND [ARGUMENT...]
#
# Start it as root in new mount and cgroup namespaces: its mounts and processes end
# with it. Its status is the command's; 77 if systemd does not start.
set -eu
systemd=$1 config=$(mktemp -d) units=$2
shift 2
mount -t tmpfs none /run
mkdir -p /run/systemd/system "/run/user/$UID" "$config/systemd"
chmod 0700 "/run/user/$UID"
ln -s "$units" "$config/systemd/user"
export XDG_RUNTIME_DIR=/run/user/$UID
XDG_CONFIG_HOME=$config HOME=$config SYSTEMD_LOG_TARGET=console "$systemd" --user </dev/null >"$config/log" 2>&1 &
manager=$!
trap 'kill "$manager" 2>/dev/null || true; wait "$manager" || true; rm -rf "$config"' EXIT
for _ in $(seq 6000); do
  if systemctl --user is-system-running --wait >/dev/null 2>&1; then
    status=0
    "$@" || status=$?
    exit "$status"
  fi
  kill -0 "$manager" 2>/dev/null || break
  sleep 0.1
done
cat "$config/log" >&2
exit 77
