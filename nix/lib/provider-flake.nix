# mkProvider: the outputs of a provider's flake.
#
#   inputs    what the flake's `outputs` function is given. The inputs named
#             organisation__project are the customers' projects; an input called
#             `hostenv` that has makeHostenv.<system> evaluates them.
#   provider  the provider's options, plain data but for the options that
#             provider-options.nix keeps out of the inventory.
#   system    the platform whose outputs of the projects are read.
#   self      the provider's own flake.
#   lockFile  its lock. Only a flake in a sub-folder of its repository needs to
#             say `lockFile = ./flake.lock`, for there Nix before 2.14 does not
#             tell a flake which folder is its own.
#
# Nothing is evaluated before it is asked for: a provider whose one project is
# broken still has its other outputs.
{ inputs
, provider
, system ? "x86_64-linux"
, self ? inputs.self
, lockFile ? self.outPath + "/flake.lock"
}:
let
  names = import ./names.nix;
  inventory = import ./inventory.nix {
    inherit inputs provider system;
    lock = (import ./lock.nix).read lockFile;
  };
in
{
  lib.hostenvProvider = {
    # The names of the inputs that are projects.
    projectNames = names.projects inputs;

    # The document that plans are made from: JSON-safe, without store paths.
    inventory = inventory { };

    # The same, with `progress = true` one trace line a project as its turn
    # comes, with `only` a list of project names no projects but these.
    inventoryWith = inventory;
  };
}
