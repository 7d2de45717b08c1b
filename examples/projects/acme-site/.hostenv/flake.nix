{
  description = "Acme's site, as an example of a customer's project";

  # What the provider has in place of it, if he builds it. This one is not
  # there: an input that the provider replaces is never fetched.
  inputs.nixpkgs.url = "git+file:///srv/example/nixpkgs-of-customers";

  # A real project has hostenv as an input, which evaluates its hostenv.nix.
  # This one runs without a network, and so brings a stand-in along.
  outputs = { nixpkgs, ... }:
    let
      project = import ./evaluate.nix {
        organisation = "acme";
        project = "site";
        hostenvHostname = "hosting.example";
        root = ../.;
      } (import ./environments.nix);

      # What an environment's user runs: here, a text that names the nixpkgs it
      # was built with, and its page.
      packagesFor = system: builtins.mapAttrs
        (name: _: nixpkgs.legacyPackages.${system}.writeText "site" ''
          ${name} with nixpkgs ${nixpkgs.legacyPackages.${system}.release}
          ${builtins.readFile ../web/index.html}
        '')
        project.environments;
    in
    {
      packages.x86_64-linux = packagesFor "x86_64-linux";
      packages.aarch64-linux = packagesFor "aarch64-linux";

      lib.hostenv.x86_64-linux = project;
      lib.hostenv.aarch64-linux = project;
    };
}
