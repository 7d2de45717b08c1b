#!@runtimeShell@
# shellcheck shell=bash disable=SC2239
# backup NAME: backs up the environment's data.
set -euo pipefail
restic=@out@/bin/restic-$1
"$restic" cat config >/dev/null 2>&1 || "$restic" init
exec "$restic" backup --tag "$1" --tag migrate "$HOME/data"
