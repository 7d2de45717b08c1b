# What the provider's options are where the provider says nothing, as far as it
# follows from his flake: the folders in it, and what its inputs give, or null
# where the input is not there.
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
