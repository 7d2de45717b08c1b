# shellcheck shell=bash
# nix-env, which sets a profile without Nix's daemon if the user is not root.
#
# A deploy runs `nix-env -p PROFILE --set PATH` as the environment's user, and the
# daemon does not answer that user. It is not needed: PATH is on the node already, the
# deploy holds a root for it, and generations are links in a folder of the user. Other
# arguments are nix-env's own; it lists, deletes and goes back to generations without
# the daemon too.
set -euo pipefail

if [ "$EUID" = 0 ] || [ "$#" != 4 ] || [ "$1" != -p ] || [ "$3" != --set ]; then
  exec @nix@/bin/nix-env "$@"
fi
export PATH=@coreutils@
profile=$2
path=$4

if [[ ! $path =~ ^/nix/store/[0-9a-df-np-sv-z]{32}-[0-9A-Za-z+._?=-]+$ ]] || [ ! -e "$path" ]; then
  printf 'error: %s is no path of this store\n' "$path" >&2
  exit 1
fi

# The present generation is kept if it has that path, as nix-env does. Otherwise the
# new one has the number after the highest.
number=0
generation=
for link in "$profile"-*-link; do
  n=${link#"$profile"-}
  n=${n%-link}
  if [[ $n =~ ^[1-9][0-9]{0,8}$ ]] && [ "$n" -gt "$number" ]; then number=$n; fi
done
if [ "$number" -gt 0 ] && [ "$(readlink -- "$profile-$number-link")" = "$path" ]; then
  generation=$profile-$number-link
else
  generation=$profile-$((number + 1))-link
  ln -sT -- "$path" "$generation"
fi

# The link is replaced by a rename: it has the old or the new target at any time.
temp=$profile.$$.new
ln -sfT -- "${generation##*/}" "$temp"
mv -fT -- "$temp" "$profile"
