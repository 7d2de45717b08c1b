{
  description = "Plans, gates and deploys a hosting provider's customers' projects";

  # No inputs: nix/lib needs nothing but Nix's builtins, the modules take the
  # provider's own nixpkgs, and so a provider that uses this locks nothing more
  # than this repository.
  outputs = _: {
    lib = import ./nix/lib;

    flakeModules = {
      default = ./nix/flake-module.nix;
      provider = ./nix/flake-module.nix;
    };

    templates = import ./nix/template;
  };
}
