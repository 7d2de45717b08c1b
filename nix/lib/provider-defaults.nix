# Defaults of the provider's options that follow from its flake: folders in it, and
# what its inputs give, or null without the input.
#
#   inputs  the flake's
#   root    the folder of its flake.nix
#
# No input is evaluated before what comes from it is used.
{ inputs, root }:
{
  generatedPath = root + "/generated";
  nodesPath = root + "/nodes";
  secretsPath = root + "/secrets/secrets.yaml";
  nodeModules = [ ];
  overrides = { };

  nixosSystem = if inputs ? nixpkgs then args: inputs.nixpkgs.lib.nixosSystem args else null;
  pkgsFor = if inputs ? nixpkgs then system: inputs.nixpkgs.legacyPackages.${system} else null;
  activate = if inputs ? deploy-rs then system: inputs.deploy-rs.lib.${system}.activate else null;
}
