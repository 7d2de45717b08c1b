# A secret of the sops file, for sops.secrets. A node may override each attribute.
#
#   file   hostenv.secrets.file
#   key    the key in that file
#   owner  the user that may read it, and its group
{ lib }:
let
  defaults = builtins.mapAttrs (_: lib.mkDefault);
in
rec {
  secret = { file, key, owner ? "root" }:
    access owner // defaults { inherit key; sopsFile = file; format = "yaml"; };

  # access owner: owner and mode of a secret, also for a template.
  access = owner: defaults { inherit owner; group = owner; mode = "0400"; };
}
