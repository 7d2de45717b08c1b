#!@runtimeShell@
# shellcheck shell=bash disable=SC2239,SC1090
# restic, with the repository and the secrets of the environment's backups. Its name
# is restic-NAME for each of them.
set -euo pipefail
user=$(@coreutils@/bin/id -un)
set -a
. "/run/secrets/$user/backups_env"
export RESTIC_PASSWORD_FILE=/run/secrets/$user/backups_secret RESTIC_REPOSITORY=@repository@/$user
exec @restic@/bin/restic "$@"
