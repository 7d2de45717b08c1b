# shellcheck shell=bash
# A deploy runs this program as an environment's user to move the environment's
# data to another node. hostenv/deploy/move calls it, nix/modules/move.nix installs
# it, and sudo lets the deploy user run it only as the user of an environment.
#
#   hostenv-move backup NAME          backs up now; prints "since EPOCH.NANOSECONDS", or "missing"
#   hostenv-move snapshots NAME WHICH prints restic's newest snapshots as JSON: tagged or all
#   hostenv-move journal NAME EPOCH   prints the log of the backup since that time
#   hostenv-move holds NAME           prints the paths of data that keep hostenv from restoring NAME
#   hostenv-move plan LENGTH          writes the restore plan, from standard input
#   hostenv-move discard              removes the restore plan
set -euo pipefail
umask 077
cd /

fail() {
  printf 'error: %s\n' "$1" >&2
  exit 1
}

user=$(id -un)
export XDG_RUNTIME_DIR="/run/user/$UID"
# nix/lib/paths.nix defines these paths.
profile="@profile@"
# How long backups may take, in seconds: the machine that deploys gives up after an hour
# (hostenv/deploy/remote), and cannot stop them then.
limit=3300
runtime="@runtime@"
restore="$runtime/restore"

verb=${1-}
case "$verb" in
  backup | holds) wanted=2 ;;
  snapshots | journal) wanted=3 ;;
  plan) wanted=2 ;;
  discard) wanted=1 ;;
  *) fail "hostenv-move has no command $(printf %q "$verb")" ;;
esac
[ "$#" = "$wanted" ] || fail "hostenv-move $verb takes $((wanted - 1)) arguments, not $(($# - 1))"

case "$verb" in
  backup | snapshots | journal | holds)
    name=$2
    [[ $name =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$ ]] || fail "$(printf %q "$name") is no name of a backup"
    unit="restic-backups-$name.service"
    ;;
esac

# property NAME prints a property of the backup's service.
property() { systemctl --user show --property="$1" --value -- "$unit"; }

journal() {
  journalctl --quiet --no-pager --output=cat --user-unit="$unit" --since="@$1" --lines="$2"
}

case "$verb" in
  backup)
    if [ "$(property LoadState)" = not-found ]; then
      echo missing
      exit
    fi
    # First wait for a backup that is already running: `start` would join it, but it
    # began before this call.
    case "$(property ActiveState)" in
      activating | deactivating | reloading) timeout "$limit" systemctl --user start --wait -- "$unit" || true ;;
    esac
    since=$(date +%s.%N)
    status=0 left=$((limit - SECONDS))
    [ "$left" -gt 0 ] || fail "$unit already ran, and did not end within $limit seconds"
    timeout "$left" systemctl --user start --wait -- "$unit" || status=$?
    if [ "$status" = 124 ]; then
      timeout 120 systemctl --user stop -- "$unit" || true
      fail "$unit did not end within $left seconds, and is stopped"
    fi
    result=$(property Result)
    if [ "$status" != 0 ] || [ "$result" != success ]; then
      printf 'error: %s failed (%s). It said:\n' "$unit" "$result" >&2
      journal "${since%.*}" 20 >&2 || true
      exit 1
    fi
    printf 'since %s\n' "$since"
    ;;

  snapshots)
    arguments=(snapshots --json --latest 1)
    case "$3" in
      tagged) arguments+=(--tag "$name") ;;
      all) ;;
      *) fail "snapshots can be tagged or all, not $(printf %q "$3")" ;;
    esac
    # The legacy generator put the wrappers only into the home.
    for wrapper in "$profile/bin/restic-$name" "$HOME/.local/bin/restic-$name"; do
      if [ -x "$wrapper" ]; then
        "$wrapper" "${arguments[@]}" | head -c 4194304
        exit
      fi
    done
    fail "$user has no restic-$name"
    ;;

  journal)
    [[ $3 =~ ^[0-9]{1,12}$ ]] || fail "$(printf %q "$3") is no time in seconds"
    journal "$3" 1000
    ;;

  holds)
    # hostenv's modules (drupal, php-app) create this marker after a restore. They do
    # not restore if the marker exists or the database has a table: they print a
    # message, remove the name from the restore plan, and start with the present data.
    marker="$HOME/.local/state/hostenv/restored/${name%-migrate}"
    if [ -e "$marker" ]; then printf '%s\n' "$marker"; fi
    case "$name" in
      drupal-migrate | php-app-migrate)
        database="$HOME/.local/share/mysql"
        for table in "$database"/*/*.frm "$database"/*/*.ibd; do
          case "$table" in "$database"/mysql/* | "$database"/performance_schema/* | "$database"/sys/*) continue ;; esac
          [ -e "$table" ] || continue
          printf '%s\n' "$database"
          break
        done
        ;;
    esac
    ;;

  plan)
    [[ $2 =~ ^[0-9]{1,6}$ ]] || fail "$(printf %q "$2") is no length"
    [ -d "$runtime" ] || fail "there is no $runtime, which the node's system makes"
    mkdir -p -- "$restore"
    chmod 00700 -- "$restore"
    temp=$(mktemp -- "$restore/.plan.XXXXXXXX")
    trap 'rm -f -- "$temp"' EXIT
    head -c "$2" >"$temp"
    # If the connection is lost, the input ends early.
    [ "$(stat -c %s -- "$temp")" = "$2" ] || fail "the restore plan did not arrive in full"
    mv -fT -- "$temp" "$restore/plan.json"
    ;;

  discard)
    rm -f -- "$restore/plan.json" "$restore"/.plan.????????
    ;;
esac
