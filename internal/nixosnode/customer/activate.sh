#!@runtimeShell@
# shellcheck shell=bash disable=SC2239
# Brings the environment up: its web server as a unit of the user's own systemd.
set -euo pipefail
export PATH=@coreutils@/bin:@systemd@/bin
user=$(id -un)
units=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user
mkdir -p "$units"
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
