#!@runtimeShell@
# shellcheck shell=bash disable=SC2239,SC2043 # names take the place of @backups@
# Starts the environment: its web server as a unit of the user's own systemd.
set -euo pipefail
export PATH=@coreutils@/bin:@systemd@/bin
user=$(id -un)
# The control group of the activation, for tests about limits.
cat /proc/self/cgroup >"$HOME/activation.cgroup"
units=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user
mkdir -p "$units"
for name in @backups@; do
  cat >"$units/restic-backups-$name.service" <<UNIT
[Unit]
Description=The backup $name of $user
[Service]
Type=oneshot
ExecStart=@out@/bin/backup $name
UNIT
  @out@/bin/restore "$name"
done
cat >"$units/site.service" <<UNIT
[Unit]
Description=The web server of $user
[Service]
Type=notify
ExecStart=@site@/bin/site -socket /run/hostenv/nginx/$user/in.sock -content @out@/share/content.txt -data $HOME/data
Restart=on-failure
[Install]
WantedBy=default.target
UNIT
systemctl --user daemon-reload
systemctl --user enable --quiet site.service
systemctl --user restart site.service
