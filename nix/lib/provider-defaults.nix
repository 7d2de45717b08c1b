# Defaults of the provider's options that Nix itself reads, for mkProvider and for
# the options of the flake-parts module alike. `mage plan` has the defaults of the
# options that it reads.
let
  system = "x86_64-linux";
in
rec {
  # plain: those that are the same for every provider.
  plain = {
    accessTokensSecret = null;
    cache = { };
    deployPublicKeys = [ ];
    deployUser = "deploy";
    nodeModules = [ ];
    nodes = { };
    notProjects = [ ];
    overrides = { };
    inherit system;
  };

  # node: those of one of provider.nodes.
  node = { inherit system; };

  # ofFlake: those that follow from the flake: folders in it, and what its inputs
  # give, or null without the input. No input is evaluated before its value is used.
  #
  #   inputs  the flake's
  #   root    the folder of its flake.nix
  ofFlake = { inputs, root }: {
    generatedPath = root + "/generated";
    nodesPath = root + "/nodes";
    secretsPath = root + "/secrets/secrets.yaml";

    nixosSystem = if inputs ? nixpkgs then args: inputs.nixpkgs.lib.nixosSystem args else null;
    pkgsFor = if inputs ? nixpkgs then system: inputs.nixpkgs.legacyPackages.${system} else null;
    activate = if inputs ? deploy-rs then system: inputs.deploy-rs.lib.${system}.activate else null;
  };

  # complete flake provider: the options with the defaults of all that are not set.
  complete = flake: provider: plain // ofFlake flake // provider;
}
