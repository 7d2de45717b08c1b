# What a provider's flake calls: pure functions on Nix's builtins, without nixpkgs.
#
#   outputs = inputs: inputs.hostenv-provider.lib.mkProvider {
#     inherit inputs;
#     provider = { hostenvHostname = "hosting.example"; };
#   };
{
  mkProvider = import ./provider-flake.nix;
}
