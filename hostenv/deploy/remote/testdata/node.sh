# shellcheck shell=sh disable=SC1091
# A node in new mount and PID namespaces: node.sh DIR SSHD
set -eu
# The folder may be below /run, which becomes empty.
mount --bind "$1" /mnt
dir=/mnt
mount -t tmpfs tmpfs /nix
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /home
mkdir -p /run/sshd /run/current-system/sw/bin /run/hostenv/deploy/site /nix/store
cat /etc/passwd - >"$dir/passwd" <<END
deploy:x:61000:61000::/home/deploy:/bin/sh
site:x:40001:40001::/home/site:/bin/sh
other:x:40002:40002::/home/other:/bin/sh
END
cat /etc/group - >"$dir/group" <<END
deploy:x:61000:
site:x:40001:
other:x:40002:
END
cat /etc/shadow - >"$dir/shadow" <<END
deploy:*:20000::::::
site:*:20000::::::
other:*:20000::::::
END
chmod 0644 "$dir/passwd" "$dir/group"
for file in passwd group shadow sudoers; do
	mount --bind "$dir/$file" "/etc/$file"
done
mkdir -p "$dir/nix" "$dir/sudoers.d"
mount --bind "$dir/sudoers.d" /etc/sudoers.d
if [ ! -d /etc/nix ]; then # Debian's nix-bin has none, and the test makes none on this machine
	cp -a /etc "$dir/etc"
	mkdir "$dir/etc/nix"
	mount --rbind "$dir/etc" /etc
	for file in passwd group shadow sudoers; do mount --bind "$dir/$file" "/etc/$file"; done
	mount --bind "$dir/sudoers.d" /etc/sudoers.d
fi
mount --bind "$dir/nix" /etc/nix
mkdir -p /home/deploy/.ssh /home/site
cp "$dir/authorized_keys" /home/deploy/.ssh/authorized_keys
chown -R deploy:deploy /home/deploy
chown site:site /home/site
chmod 0700 /home/deploy /home/site
chmod 0711 /run/hostenv/deploy
chown site:site /run/hostenv/deploy/site
chmod 0700 /run/hostenv/deploy/site
mkdir -p /nix/var/nix/profiles/per-user/site
chown site:site /nix/var/nix/profiles/per-user/site

# What `nix-env -p LINK --set PATH` does.
cat >/run/current-system/sw/bin/nix-env <<'END'
#!/bin/sh
set -eu
[ "$1 $3" = "-p --set" ]
n=1
while [ -L "$2-$n-link" ]; do n=$((n + 1)); done
ln -s "$4" "$2-$n-link"
# As when nix-collect-garbage -d deletes the generation before it is the current one.
[ ! -e "$2-collect" ] || rm "$2-collect" "$2-$n-link"
ln -sfn "${2##*/}-$n-link" "$2"
END
chmod 0755 /run/current-system/sw/bin/nix-env
ln -s /bin/rm /run/current-system/sw/bin/rm
[ ! -e "$dir/setup.sh" ] || . "$dir/setup.sh"
exec "$2" -D -e -f "$dir/sshd_config"
