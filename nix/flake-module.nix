# The flake-parts module of a hosting provider: the options `provider.*`, and the
# outputs that its plan makes.
#
#   imports = [ inputs.hostenv-provider.flakeModules.default ];
#   provider = { hostenvHostname = "hosting.example"; ... };
#
# This file has types, defaults and documentation. nix/lib/compose.nix makes the
# outputs, as it does for mkProvider.
{ config, lib, inputs, self, ... }:
let
  cfg = config.provider;

  formerly = lib.mkOption { type = lib.types.anything; default = null; visible = false; };

  composed = import ./lib/compose.nix {
    inherit inputs self;
    provider = cfg;
    inherit (cfg) system lockFile;
  };
in
{
  _class = "flake";

  # Options of hostenv's own module are refused with their replacement, and not as
  # options that do not exist. cloudflare accepts all attributes by itself.
  imports = map (path: { options.provider = lib.setAttrByPath path formerly; })
    (lib.filter (path: lib.head path != "cloudflare") (import ./lib/formerly.nix).paths);

  options.provider = import ./options.nix { inherit lib; };

  options.flake = {
    deploy.nodes = lib.mkOption {
      type = lib.types.lazyAttrsOf lib.types.raw;
      default = { };
      description = "Nodes for deploy-rs.";
    };
    lib.hostenvProvider = lib.mkOption {
      type = lib.types.lazyAttrsOf lib.types.raw;
      default = { };
      description = "What `mage plan` and the other targets evaluate.";
    };
  };

  config = {
    provider = lib.mapAttrs (_: lib.mkOptionDefault) (
      { lockFile = self.outPath + "/flake.lock"; }
      // (import ./lib/provider-defaults.nix).ofFlake { inherit inputs; root = dirOf cfg.lockFile; }
    );

    flake = {
      inherit (composed) nixosConfigurations deploy;
      lib.hostenvProvider = composed.library;
    };

    perSystem = { system, ... }: {
      packages = composed.packagesFor system;
      legacyPackages = composed.legacyPackagesFor system;
      apps = composed.appsFor system;
      devShells = lib.mapAttrs (_: lib.mkDefault) (composed.devShellsFor system);
    };
  };
}
