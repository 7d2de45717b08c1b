# The shell for working on a provider's repository, and on this one:
#
#   devShells.default = import ./dev-shell.nix { inherit pkgs inputs; };
#
#   pkgs     nixpkgs of the platform
#   inputs   the flake's. deploy-rs is taken from an input of that name where
#            there is one: what activates on the node is built from the same
#            revision, and the two must fit. Otherwise it is nixpkgs'. It is
#            here for use by hand: `mage deploy` takes none from PATH, but the
#            one that is in the profile's own closure.
#   package  hostenv-provider itself, null to leave it away
{ pkgs, inputs ? { }, package ? null }:
let
  platform = pkgs.stdenv.hostPlatform.system;
in
pkgs.mkShell {
  name = "hostenv-provider";
  packages = [
    pkgs.go
    pkgs.mage
    pkgs.nix
    pkgs.git
    (inputs.deploy-rs.packages.${platform}.deploy-rs or pkgs.deploy-rs)
    pkgs.openssh
    pkgs.sops
    pkgs.age
    pkgs.dig
  ] ++ (if package == null then [ ] else [ package ]);

  # The go of this shell, and no other one that go.mod would have it fetch.
  GOTOOLCHAIN = "local";
}
