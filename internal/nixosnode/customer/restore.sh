#!@runtimeShell@
# shellcheck shell=bash disable=SC2239
# restore NAME: restores the snapshot that a restore plan names, as hostenv's modules do
# when an environment that moved from another node is activated.
set -euo pipefail
export PATH=@coreutils@/bin
plan=/run/hostenv/user/$(id -un)/restore/plan.json
[ -e "$plan" ] || exit 0
snapshot=$(@jq@/bin/jq --raw-output --arg name "$1" '.snapshots[$name]' "$plan")
@out@/bin/restic-"$1" restore "$snapshot" --sparse --target "$HOME/restored"
mv -T "$HOME/restored$HOME/data" "$HOME/data"
rm -r "$HOME/restored" "$plan"
