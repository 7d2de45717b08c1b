#!/bin/sh
# shellcheck disable=SC1090
# Runs commands by sudo as a deploy user, and reports for each whether sudo ran it.
# Run it as root in a new mount namespace:
#
#   sudo.sh SUDOERS PREPARE < COMMANDS
#
# PREPARE is sourced first. Each line of COMMANDS is a command line in the form that
# ssh passes to the deploy user's shell. The output has a line for each: "ran" with the
# output of the command, or "refused".
set -eu
sudoers=$1 prepare=$2

# Use only the programs of this machine. The changes below end with the namespace.
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cp /etc/passwd "$dir/passwd"
cp /etc/shadow "$dir/shadow"
cp "$sudoers" "$dir/sudoers"
echo 'deploy:x:61000:61000::/:/bin/sh' >>"$dir/passwd"
echo 'deploy:!:19000::::::' >>"$dir/shadow"
chmod 0440 "$dir/sudoers"
mkdir -p /nix
for file in passwd shadow sudoers; do mount --bind "$dir/$file" "/etc/$file"; done
mount -t tmpfs none /run
mount -t tmpfs none /nix
mkdir -p /nix/store /run/evil
. "$prepare"

while IFS= read -r command; do
  # `sudo -u root` as deploy-rs runs it, but without asking for a password.
  if out=$(setpriv --reuid 61000 --regid 61000 --clear-groups \
    env -i PATH=/run/evil:/usr/bin:/bin sh -c "$(printf '%s' "$command" | sed 's/^sudo /sudo -n /')" 2>"$dir/err" </dev/null); then
    echo "ran $out"
  elif grep -q 'a password is required\|not allowed' "$dir/err"; then
    echo refused
  else
    echo "failed: $(cat "$dir/err")"
  fi
done
