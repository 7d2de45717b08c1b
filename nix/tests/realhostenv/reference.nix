# hostenv's own plan and state of a fleet, and what its provider says.
#
#   provider   the fleet's provider, a flake
#   options    what its provider says of itself, as hostenv's lib.provider.plan takes it
#   statePath  the state.json that hostenv begins with, null for none
#
# hostenv writes its documents to the store; what writes is replaced by what
# gives the value itself.
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
