#!/bin/bash
# shellcheck disable=SC1091
# Opens sessions as a node's users have them, and says what each finds. To be
# started in a mount namespace of its own, as root:
#
#   session.sh FILES < SESSIONS
#
# FILES is a folder with the files of the node's /etc, what /etc/set-environment
# leads to in set-environment.path, and prepare.sh, which is sourced before. Each
# line of SESSIONS is one session, "KIND USER COMMAND":
#
#   ssh      ssh USER@NODE -- COMMAND: a shell that is neither interactive nor for a login
#   login    the same command on the standard input of a login shell, by ssh
#   manager  what USER's systemd is started with
#
# For each a line of output: its exit status and what it printed, in one line.
set -euo pipefail
files=$(realpath "$1")

# Nothing of this machine but its programs and its /etc beneath: what is changed
# below is gone with the namespace.
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
# Where Debian's bash looks for what NixOS's finds in /etc/bashrc.
cp /etc/bashrc /etc/bash.bashrc
environment=$(cat "$files/set-environment.path")
cp "$files/set-environment" "$environment"
# Of PAM's services the environment alone, by this machine's pam_env.
for name in sshd systemd-user; do
  {
    printf '%s required pam_permit.so\n' auth account
    sed -n 's|^\(session [^ ]* \)[^ ]*/pam_env.so|\1pam_env.so|p' "$files/pam.d/$name"
  } >"/etc/pam.d/$name"
done
cp /etc/pam.d/systemd-user /etc/pam.d/runuser # which starts as the user's systemd does

ssh-keygen -q -t ed25519 -N '' -f "$dir/host"
ssh-keygen -q -t ed25519 -N '' -f "$dir/key"
# user NAME UID
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
