{
  description = "Beta's portal, as an example of a customer's project";

  # A real project has hostenv as an input, which evaluates its hostenv.nix.
  # This one runs without a network, and so brings a stand-in along.
  outputs = _:
    let
      project = import ./evaluate.nix {
        organisation = "beta";
        project = "portal";
        hostenvHostname = "hosting.example";
        root = ../.;
      } (import ./environments.nix);
    in
    {
      lib.hostenv.x86_64-linux = project;
      lib.hostenv.aarch64-linux = project;
    };
}
