# The folder of a flake, which may be below the root of its repository.
#
#   self  the flake
#   args  what its flake.nix gives mkProvider
#
# Since 2.14 self.outPath is that folder. Before, it is the repository's root, and
# the folder is where args is written, if flake.nix is there.
{ self, args }:
let
  written = map (name: builtins.unsafeGetAttrPos name args) [ "inputs" "provider" ];
  folders = builtins.filter (folder: builtins.pathExists (folder + "/flake.nix"))
    (map (at: dirOf at.file) (builtins.filter (at: at != null) written));
in
if builtins.compareVersions builtins.nixVersion "2.14" >= 0 || folders == [ ] then self.outPath
else builtins.head folders
