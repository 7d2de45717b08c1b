# shellcheck shell=bash disable=SC2016 # programs in single quotes
# Simulates a node for hostenv-users, in a new mount namespace:
#
#   unshare --mount --propagation private bash node.sh SCRIPT <STORY
#
# SCRIPT is nix/modules/hostenv-users.sh, with its paths as below; STORY is bash
# that calls the functions of this file.
set -eu
script=$1
programs=$PATH

# fresh makes a machine without environments.
fresh() {
  local dir
  if mountpoint -q /home; then umount /home /var/lib /nix /run /etc; fi
  for dir in /home /var/lib /run; do mount -t tmpfs none "$dir"; done
  mkdir -p /nix
  mount -t tmpfs none /nix
  local passwd group
  passwd=$(printf '%s\n' 'root:x:0:0::/root:/bin/sh' 'nginx:x:60:60::/:/bin/sh' 'admin:x:1000:1000::/home/admin:/bin/sh')
  group=$(printf '%s\n' 'root:x:0:' 'nginx:x:60:' 'admin:x:1000:')
  # Programs may be links to there.
  [ ! -d /etc/alternatives ] || cp -a /etc/alternatives /run/
  mount -t tmpfs none /etc
  [ ! -d /run/alternatives ] || mv /run/alternatives /etc/
  printf '%s\n' "$passwd" >/etc/passwd
  printf '%s\n' "$group" >/etc/group
  printf '%s\n' 'root:!:1::::::' 'admin:secret:1::::::' >/etc/shadow
  chmod 0640 /etc/shadow
  mkdir -p /home/admin /var/lib/systemd/linger /var/lib/nixos /nix/var/nix/profiles/per-user /nix/var/nix/gcroots/auto
  chown 1000 /home/admin
  printf '{"admin":100000}' >/var/lib/nixos/auto-subuid-map
  boot
}

# boot resets /run to its state after a boot.
boot() {
  rm -rf /run/*
  mkdir -p /run/systemd/system /run/systemd/users /run/hostenv/user /run/hostenv/nginx /run/hostenv/deploy /run/bin
  printf '#!/bin/sh\nexit 0\n' >/run/bin/loginctl
  # When a user's manager is stopped, its services end and logind forgets the user.
  printf '#!/bin/sh\nfor unit; do id=${unit#user@}; rm -f /run/systemd/users/${id%%.service}; done; echo "systemctl $*" >>/run/calls\n' >/run/bin/systemctl
  printf '#!/bin/sh\nexit 0\n' >/run/bin/pkill
  printf '#!/bin/sh\n[ -e "/run/systemd/users/$2" ]\n' >/run/bin/pgrep
  local name
  # Each of these programs is a step: at the chosen one the power cut kills the script.
  for name in mv rm rmdir ln; do
    printf '#!/bin/sh\nn=$(($(cat /run/steps) + 1)); echo $n >/run/steps; if [ $n = "$(cat /run/cut)" ]; then kill -9 $(cat /run/pid); exit 1; fi\nPATH=%s exec %s "$@"\n' "$programs" "$name" >/run/bin/$name
  done
  chmod +x /run/bin/*
  echo 0 >/run/steps
  echo 0 >/run/cut
}

# cut_at N makes the power fail before the Nth step from now.
cut_at() {
  echo 0 >/run/steps
  echo "$1" >/run/cut
}

hostenv_users() { bash -c 'echo $$ >/run/pid; exec bash "$@"' hostenv-users "$script" "$@"; }

# system LINE... switches to a system with this table. It fails if the power fails, and
# otherwise does what NixOS does after hostenv-users.
system() {
  printf '%s\n' "$@" >/run/table
  local status=0
  hostenv_users activate || status=$?
  [ "$status" != 137 ] || return 137
  echo 0 >/run/cut
  nixos "$@"
  [ "$status" = 0 ] || printf 'it failed with %s\n' "$status"
}

# nixos LINE... does what update-users-groups.pl, tmpfiles and linger-users do.
nixos() {
  local line kind name id home now
  local -a users=()
  for line; do
    read -r kind name id _ home <<<"$line"
    [ "$kind" = environment ] || continue
    users+=("$name")
    now=$(awk -F: -v name="$name" '$1 == name { print $3 }' /etc/passwd)
    id=${now:-$id} # NixOS does not change a UID
    awk -F: -v name="$name" '$1 != name' /etc/passwd >/run/new
    cat /run/new >/etc/passwd
    printf '%s:x:%s:%s::%s:/bin/sh\n' "$name" "$id" "$id" "$home" >>/etc/passwd
    grep -q "^$name:" /etc/shadow || printf '%s:!:1::::::\n' "$name" >>/etc/shadow
    grep -q "^$name:" /etc/group || printf '%s:x:%s:\n' "$name" "$id" >>/etc/group
    mkdir -p "$home"
    chown "$id:$id" "$home"
    chmod 0700 "$home"
    for home in "/run/hostenv/user/$name" "/run/hostenv/nginx/$name" "/run/hostenv/deploy/$name" "/nix/var/nix/profiles/per-user/$name"; do
      mkdir -p "$home"
      chown "$id" "$home"
    done
    # logind starts lingering users when it starts itself, and later each new one.
    if [ ! -e "/var/lib/systemd/linger/$name" ] || [ ! -e /run/logind ]; then
      touch "/var/lib/systemd/linger/$name"
      touch "/run/systemd/users/$id"
    fi
  done
  touch /run/logind
  local file
  for file in passwd group shadow; do
    awk -F: -v users=" ${users[*]} root nginx admin " 'index(users, " " $1 " ")' "/etc/$file" >/run/new
    cat /run/new >"/etc/$file"
  done
}

# site NAME TEXT creates the files of an environment that was deployed and used.
site() {
  local id
  id=$(stat -c %u "/home/$1")
  printf '%s\n' "$2" >"/home/$1/data"
  chown "$id" "/home/$1/data"
  ln -sfn "hostenv-1-link" "/nix/var/nix/profiles/per-user/$1/hostenv"
  ln -sfn "/nix/store/$2" "/nix/var/nix/profiles/per-user/$1/hostenv-1-link"
}

# show prints the users and groups, and the owners and contents of homes and profiles.
show() {
  awk -F: '$3 >= 40000 { print $1 " is " $3 " with " $6 }' /etc/passwd | sort
  awk -F: '$3 >= 40000 { print "group " $1 " is " $3 }' /etc/group | sort
  local at
  for at in /home/*; do
    [ "$at" = /home/admin ] || printf '%s of %s: %s\n' "$at" "$(stat -c %u "$at")" "$(cat "$at/data" 2>/dev/null || echo nothing)"
  done
  for at in /nix/var/nix/profiles/per-user/*; do
    [ ! -e "$at" ] || printf 'profiles %s of %s: %s\n' "${at##*/}" "$(stat -c %u "$at")" "$(readlink "$at/hostenv-1-link" || echo none)"
  done
  printf 'runs:%s\n' "$(for at in /run/systemd/users/*; do [ ! -e "$at" ] || printf ' %s' "${at##*/}"; done)"
  printf 'lingers:%s\n' "$(for at in /var/lib/systemd/linger/*; do [ ! -e "$at" ] || printf ' %s' "${at##*/}"; done)"
}

story=$(cat)
fresh
eval "$story"
