{
  description = "Plans, gates and deploys a hosting provider's customers' projects";

  # No inputs: nix/lib needs nothing but Nix's builtins, and so a provider
  # that uses it locks nothing more than this repository.
  outputs = _: {
    lib = import ./nix/lib;
  };
}
