# The plan and state that hostenv itself makes for a fleet, and the provider's options.
#
#   provider   the fleet's provider, a flake
#   options    the provider's options, in the form of hostenv's lib.provider.plan
#   statePath  the state.json that hostenv begins with, null for none
#
# hostenv writes its documents to the store. Here the writer is replaced by a function
# that returns the value.
{ provider, options, statePath }:
let
  flake = builtins.getFlake provider;
  inputs = flake.inputs // { self = flake; };
  system = "x86_64-linux";
  stock = inputs.nixpkgs.legacyPackages.${system};
  pkgs = stock // {
    writeText = _: text: text;
    writers = stock.writers // { writeJSON = _: value: value; };
  };
  made = inputs.hostenv.lib.provider.plan
    ({ inherit inputs system pkgs statePath; inherit (stock) lib; } // options);
in
{ inherit (made) plan state; }
