# folder mode user group: a folder for systemd.tmpfiles.settings, of which a node
# may override each part.
{ lib }:
mode: user: group: {
  d = builtins.mapAttrs (_: lib.mkDefault) { inherit mode user group; };
}
