# shellcheck shell=bash disable=SC2154 # provider.nix sets profile
# What an activation does on a node of a fleet: a program in bin of a package,
# whose first lines say which $profile it is. It writes down that it was run, and
# does what the files of $rules say; see Node.OnActivation.
rules=/var/lib/hostenv-fleet/$profile
log=/var/log/hostenv-fleet/$profile
verb=${1:-activate}
path=$(cd -P -- "$(dirname -- "$(dirname -- "$0")")" && pwd) # of the profile, whose bin is a link

say() { printf '%s %s %s %s %s %s\n' "$1" $$ "$verb" "$(id -un)" "$path" "$2" >>"$log"; }

say start -
trap 'say end $?' EXIT
if [ "$verb" = dry-activate ]; then
  echo "would activate $path"
  exit 0
fi
if [ -e "$rules/print" ]; then
  # Many lines, one write each.
  for ((i = 0; i < $(<"$rules/print"); i++)); do
    printf 'line %s of an activation that has much to say\n' "$i" || exit 141
  done
fi
if [ -e "$rules/sleep" ]; then
  sleep "$(<"$rules/sleep")"
fi
if [ -e "$rules/block" ]; then
  say blocked -
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
