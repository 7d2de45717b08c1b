# Defaults of the provider's options that Nix itself reads, for mkProvider and for
# the flake-parts module. `mage plan` has the defaults of the options that it reads.
let
  system = "x86_64-linux";
in
rec {
  # plain: defaults that are the same for every provider.
  plain = {
    accessTokensSecret = null;
    cache = { };
    deployPublicKeys = [ ];
    deployUser = "deploy";
    evaluation = {
      time = 60;
      memory = 2048;
      output = 1048576;
      allowedUris = [ "github:" "gitlab:" "sourcehut:" ];
      organisations = { };
      leftOut = [ ];
    };
    nodeModules = [ ];
    nodes = { };
    notProjects = [ ];
    overrides = { };
    inherit system;
  };

  # node: defaults of one node in provider.nodes.
  node = { inherit system; };

  # ofFlake: defaults that depend on the flake: folders in it, and functions of its
  # inputs, null without the input. An input is evaluated when its function is used.
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
  complete = flake: provider: plain // ofFlake flake // provider // {
    evaluation = plain.evaluation // provider.evaluation or { };
  };
}
