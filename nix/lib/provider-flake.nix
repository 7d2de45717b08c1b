# mkProvider: the outputs of a provider's flake.
#
#   inputs    the arguments of the flake's `outputs` function. The inputs named
#             organisation__project are the customers' projects, unless
#             provider.notProjects has them; their inputs hostenv, nixpkgs,
#             flake-parts and phps are the provider's, if it has such inputs.
#   provider  the provider's options: docs/options.md lists them. All are plain data,
#             except those that provider-options.nix keeps out of the inventory.
#   system    the platform whose outputs of the projects are read.
#   systems   the platforms that packages and apps are for, besides the nodes'.
#   self      the provider's own flake.
#   lockFile  its lock. The flake's folder is the lock's.
#
# Evaluation is lazy: a provider with a broken project still has its other outputs.
let
  defaults = import ./provider-defaults.nix;
in
args@{ inputs
, provider
, system ? defaults.plain.system
, systems ? [ "x86_64-linux" "aarch64-linux" "aarch64-darwin" ]
, self ? inputs.self
, lockFile ? import ./flake-folder.nix { inherit self args; } + "/flake.lock"
}:
let
  composed = import ./compose.nix {
    inherit inputs self system lockFile;
    provider = defaults.complete { inherit inputs; root = dirOf lockFile; } provider;
  };

  # From the options and not from the plan: there are packages without a plan too.
  ofNodes = map (node: (defaults.node // node).system) (builtins.attrValues provider.nodes or { });
  perSystem = value: builtins.listToAttrs
    (map (name: { inherit name; value = value name; }) (systems ++ ofNodes));
in
{
  inherit (composed) nixosConfigurations deploy;
  packages = perSystem composed.packagesFor;
  legacyPackages = perSystem composed.legacyPackagesFor;
  apps = perSystem composed.appsFor;
  devShells = perSystem composed.devShellsFor;
  lib.hostenvProvider = composed.library;
}
