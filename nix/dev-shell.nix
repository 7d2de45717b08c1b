# The shell for working on a provider's repository, and on this one:
#
#   devShells.default = import ./dev-shell.nix { inherit pkgs inputs; };
#
#   pkgs     nixpkgs of the platform
#   inputs   the flake's. An input deploy-rs takes precedence over nixpkgs', because
#            it must fit the program that activates on the nodes. deploy-rs is here
#            for you to run: `mage deploy` uses the one in the profile's closure.
#   package  hostenv-provider itself, or null
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

  # Use the go of this shell, even if go.mod names another version to fetch.
  GOTOOLCHAIN = "local";
}
