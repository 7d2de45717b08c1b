# shellcheck shell=bash disable=SC2154
# Units of a Debian package: where systemd.packages looks for them.
for kind in system user; do
  if [ -d "$out/lib/systemd/$kind" ]; then
    mkdir -p "$out/etc/systemd"
    mv "$out/lib/systemd/$kind" "$out/etc/systemd/$kind"
    rm -rf "$out/etc/systemd/$kind"/*.wants
  fi
done
