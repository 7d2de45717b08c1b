# A secret of the sops file, for sops.secrets, of which a node may override each
# part:
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

  # access owner: the same owner and mode, for a template.
  access = owner: defaults { inherit owner; group = owner; mode = "0400"; };
}
