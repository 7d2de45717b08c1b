# shellcheck shell=bash disable=SC2154 # provider.nix sets profile
# The activation program of a profile on a node of a fleet. provider.nix puts lines
# before it that set $profile. It records each run in $log, and follows the files in
# $rules; see Node.OnActivation.
rules=/var/lib/hostenv-fleet/$profile
log=/var/log/hostenv-fleet/$profile
verb=${1:-activate}
path=$(cd -P -- "$(dirname -- "$(dirname -- "$0")")" && pwd) # of the profile, whose bin is a link

record() { printf '%s %s %s %s %s %s\n' "$1" $$ "$verb" "$(id -un)" "$path" "$2" >>"$log"; }

record start -
trap 'record end $?' EXIT
if [ "$verb" = dry-activate ]; then
  echo "would activate $path"
  exit 0
fi
if [ -e "$rules/path" ] && [ "$(<"$rules/path")" != "$path" ]; then
  rules=/nonexistent
fi
if [ -e "$rules/print" ]; then
  # Many lines, one write each.
  for ((i = 0; i < $(<"$rules/print"); i++)); do
    printf 'line %s of an activation with much output\n' "$i" || exit 141
  done
fi
if [ -e "$rules/sleep" ]; then
  sleep "$(<"$rules/sleep")"
fi
if [ -e "$rules/block" ]; then
  record blocked -
  while [ -e "$rules/block" ]; do sleep 0.02; done
fi
if [ -e "$rules/fail" ]; then
  echo "the test made this fail with $(<"$rules/fail")" >&2
  exit "$(<"$rules/fail")"
fi
if [ -e "$rules/run" ]; then
  bash -euo pipefail "$rules/run" || exit
fi
echo "$profile is $(cat "$(dirname "$0")/../share/version")"
exit 0
