#!/bin/bash
# shellcheck disable=SC1091
# Opens sessions like those of a node's users, and prints what each of them sees. Run
# it as root in a new mount namespace:
#
#   session.sh FILES < SESSIONS
#
# FILES is a folder with the files of the node's /etc. In it, set-environment.path has
# the target of /etc/set-environment, and prepare.sh is sourced before the sessions.
# Each line of SESSIONS is one session, "KIND USER COMMAND":
#
#   ssh      ssh USER@NODE -- COMMAND, in a non-interactive shell without login
#   login    the same command on the standard input of a login shell, by ssh
#   manager  the command in the environment in which USER's systemd starts
#
# The output has a line for each session: its exit status, and its output on one line.
set -euo pipefail
files=$(realpath "$1")

# Use only the programs and the /etc of this machine. The changes below end with the
# namespace.
dir=$(mktemp -d)
trap 'umount -l "$dir"; rmdir "$dir"' EXIT
mount -t tmpfs none "$dir"
chmod 0711 "$dir"
mkdir "$dir/upper" "$dir/work"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$dir/upper,workdir=$dir/work" /etc
mkdir -p /nix
for folder in /home /run /nix; do mount -t tmpfs none "$folder"; done
mkdir -p /run/sshd /run/current-system/sw /nix/store /nix/var/nix/profiles/per-user
ln -s /usr/bin /run/current-system/sw/bin

mkdir -p /etc/nix /etc/pam /etc/ssh/authorized_keys.d
for name in bashrc profile set-environment pam/environment nix/nix.conf; do cp "$files/$name" "/etc/$name"; done
# Debian's bash reads /etc/bash.bashrc, and NixOS's reads /etc/bashrc.
cp /etc/bashrc /etc/bash.bashrc
environment=$(cat "$files/set-environment.path")
cp "$files/set-environment" "$environment"
# Keep only pam_env of the PAM services, with this machine's module.
for name in sshd systemd-user; do
  {
    printf '%s required pam_permit.so\n' auth account
    sed -n 's|^\(session [^ ]* \)[^ ]*/pam_env.so|\1pam_env.so|p' "$files/pam.d/$name"
  } >"/etc/pam.d/$name"
done
cp /etc/pam.d/systemd-user /etc/pam.d/runuser # runuser stands in for the user's systemd

ssh-keygen -q -t ed25519 -N '' -f "$dir/host"
ssh-keygen -q -t ed25519 -N '' -f "$dir/key"
# user NAME UID creates a user.
user() {
  echo "$1:x:$2:$2::/home/$1:/bin/bash" >>/etc/passwd
  echo "$1:*:19000::::::" >>/etc/shadow
  echo "$1:x:$2:" >>/etc/group
  install -d -m 0700 -o "$2" -g "$2" "/home/$1"
  install -d -m 0755 -o "$2" -g "$2" "/nix/var/nix/profiles/per-user/$1"
  cp "$dir/key.pub" "/etc/ssh/authorized_keys.d/$1"
}
. "$files/prepare.sh"

cat >"$dir/sshd_config" <<CONFIG
HostKey $dir/host
AuthorizedKeysFile /etc/ssh/authorized_keys.d/%u
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM yes
LogLevel ERROR
CONFIG
remote() {
  ssh -F none -i "$dir/key" -o "ProxyCommand=$SSHD -i -f $dir/sshd_config" -o BatchMode=yes -o LogLevel=ERROR \
    -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "$@"
}

while read -r kind user command; do
  status=0
  case $kind in
  ssh) out=$(remote "$user@node" -- "$command" 2>&1 </dev/null) || status=$? ;;
  login) out=$(printf '%s\n' "$command" | remote -T "$user@node" 2>&1) || status=$? ;;
  manager) out=$(env -i "$(command -v runuser)" -u "$user" -- /bin/sh -c "$command" 2>&1 </dev/null) || status=$? ;;
  *) exit 64 ;;
  esac
  printf '%s %s\n' "$status" "${out//$'\n'/ | }"
done
