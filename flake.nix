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

    # What a node is, for a machine that no plan has: see docs/nodes.md. A set and
    # no path, for older Nixes' `nix flake check`.
    nixosModules = rec {
      common = {
        _file = ./nix/modules/common.nix;
        imports = [ ./nix/modules/common.nix ];
      };
      default = common;
    };

    templates = import ./nix/template;
  };
}
