# shellcheck shell=bash disable=SC2154
# NixOS takes upstream's units, tmpfiles and sysctls from example/, and chooses.
mkdir -p "$out/example"/{systemd,sysctl.d,tmpfiles.d}
for kind in system user; do mv "$out/lib/systemd/$kind" "$out/example/systemd/$kind"; done
cp -r /usr/lib/systemd/user/. "$out/example/systemd/user/" 2>/dev/null || true
rm -rf "$out"/lib/systemd/{system,user}-generators "$out"/lib/systemd/*.wants
for d in tmpfiles.d sysctl.d; do if [ -d "$out/lib/$d" ]; then mv "$out/lib/$d"/* "$out/example/$d/" || true; fi; done
mkdir -p "$out/lib/tmpfiles.d" "$out/lib/sysctl.d"
# names of upstream that Debian leaves out or moves
for f in home journal-nocow portables static-nodes-permissions systemd systemd-nologin systemd-nspawn systemd-tmp tmp var x11; do
  [ -e "$out/example/tmpfiles.d/$f.conf" ] || echo "# not in Debian" > "$out/example/tmpfiles.d/$f.conf"
done
for f in 50-default 50-coredump; do [ -e "$out/example/sysctl.d/$f.conf" ] || echo "# not in Debian: $out" > "$out/example/sysctl.d/$f.conf"; done
chmod -R u+w "$out/example"
