#!/run/current-system/sw/bin/bash
# What a pretend node does in place of NixOS's switch-to-configuration: it makes
# the users that the profile lists, with the folders that nix/modules gives them,
# and takes away the others. Homes stay, as on a real node.
set -euo pipefail
profile=$(cd -P -- "$(dirname -- "$0")/.." && pwd)

if [ "${1:-switch}" != switch ]; then
  echo "would switch to $profile"
  exit 0
fi

own_folder() { install -d -m "$1" -o "$2" -g "$2" "$3"; }

users=()
while read -r kind name uid; do
  [ "$kind" = user ] || continue
  users+=("$name")
  if ! getent passwd "$name" >/dev/null; then
    echo "$name:x:$uid:$uid::/home/$name:/run/current-system/sw/bin/bash" >>/etc/passwd
    echo "$name:x:$uid:" >>/etc/group
    echo "$name:*:1::::::" >>/etc/shadow
    echo "made the user $name"
  fi
  own_folder 0700 "$name" "/home/$name"
  own_folder 0700 "$name" "/run/hostenv/deploy/$name"
  own_folder 2700 "$name" "/run/hostenv/user/$name"
  own_folder 0700 "$name" "/run/user/$uid"
  own_folder 0755 "$name" "/nix/var/nix/profiles/per-user/$name"
done <"$profile/accounts"

while IFS=: read -r name _ uid _; do
  if [ "$uid" -lt 40000 ] || [ "$uid" -gt 59999 ] || [[ " ${users[*]} " == *" $name "* ]]; then
    continue
  fi
  sed -i "/^$name:/d" /etc/passwd /etc/group /etc/shadow
  echo "removed the user $name"
done < <(getent passwd)

sed -n 's/^host //p' "$profile/accounts" >/etc/hostenv-hosts

# Data that follow an environment are restored by systemd and restic, which a
# pretend node does not have: there is never a restore plan to discard.
# shellcheck disable=SC2016 # the program is another shell's
printf '#!/run/current-system/sw/bin/bash\n[ "$1" = discard ]\n' >/run/current-system/sw/bin/hostenv-move
chmod +x /run/current-system/sw/bin/hostenv-move
echo "switched to $profile"
