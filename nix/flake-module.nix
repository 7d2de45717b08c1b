# The flake-parts module of a hosting provider: the options `provider.*`, and the
# outputs that its plan makes.
#
#   imports = [ inputs.hostenv-provider.flakeModules.default ];
#   provider = { hostenvHostname = "hosting.example"; ... };
#
# Here are types, defaults and documentation; what is made of the options is
# nix/lib/compose.nix's, as for a flake without flake-parts.
{ config, lib, inputs, self, ... }:
let
  cfg = config.provider;

  composed = import ./lib/compose.nix {
    inherit inputs self;
    provider = cfg;
    inherit (cfg) system lockFile;
    checkPlan = import ./plan-types.nix { inherit lib; };
  };
in
{
  _class = "flake";

  imports = map (file: ./options + "/${file}") (builtins.attrNames (builtins.readDir ./options));

  options.flake = {
    deploy.nodes = lib.mkOption {
      type = lib.types.lazyAttrsOf lib.types.raw;
      default = { };
      description = "Nodes for deploy-rs.";
    };
    lib.hostenvProvider = lib.mkOption {
      type = lib.types.lazyAttrsOf lib.types.raw;
      default = { };
      description = "What `mage plan` and its companions evaluate.";
    };
  };

  config = {
    provider = lib.mapAttrs (_: lib.mkOptionDefault) (
      { lockFile = self.outPath + "/flake.lock"; }
      // import ./lib/provider-defaults.nix { inherit inputs; root = dirOf cfg.lockFile; }
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
