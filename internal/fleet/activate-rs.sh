#!/run/current-system/sw/bin/bash
# A simple replacement for the `activate` of deploy-rs: it takes the same command
# lines and leaves the same files. It polls; the real one waits for inotify.
set -euo pipefail
trap '' HUP

verb=$1 closure='' profile='' temp='' timeout=240
shift
auto=0 magic=0 dry=0 boot=0
while [ $# -gt 0 ]; do
  case $1 in
  --profile-path) profile=$2; shift ;;
  --temp-path) temp=$2; shift ;;
  --confirm-timeout | --activation-timeout) timeout=$2; shift ;;
  --auto-rollback) auto=1 ;;
  --magic-rollback) magic=1 ;;
  --dry-activate) dry=1 ;;
  --boot) boot=1 ;;
  -*) echo "unexpected argument '$1'" >&2; exit 2 ;;
  *) closure=$1 ;;
  esac
  shift
done

# The canary is named for the hash of the closure.
canary() { printf '%s/deploy-rs-canary-%.32s' "$temp" "${closure#/nix/store/}"; }

deactivate() {
  echo "De-activating due to error" >&2
  nix-env -p "$profile" --rollback
  nix-env -p "$profile" --delete-generations "$(nix-env -p "$profile" --list-generations | tail -n 1 | awk '{ print $1 }')"
  PROFILE=$profile env -C "$profile" "$profile/deploy-rs-activate"
}

case $verb in
activate)
  at=$profile
  if [ $dry = 1 ]; then at=$closure; else nix-env -p "$profile" --set "$closure"; fi
  status=0
  # The script's parent is this one, and not a copy of it.
  PROFILE=$at DRY_ACTIVATE=$dry BOOT=$boot env -C "$at" "$at/deploy-rs-activate" || status=$?
  if [ $dry = 1 ]; then exit 0; fi
  if [ $status != 0 ]; then
    if [ $auto = 1 ]; then deactivate; fi
    exit 1
  fi
  if [ $magic = 1 ] && [ $boot = 0 ]; then
    : >"$(canary)"
    for ((i = 0; i < timeout * 50; i++)); do
      [ -e "$(canary)" ] || exit 0
      sleep 0.02
    done
    deactivate
    exit 1
  fi
  ;;
wait)
  for ((i = 0; i < timeout * 50; i++)); do
    if [ -e "$(canary)" ]; then exit 0; fi
    sleep 0.02
  done
  exit 1
  ;;
revoke) deactivate ;;
*) exit 2 ;;
esac
