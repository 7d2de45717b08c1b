# A provider that composes: its lock does not hold its customers.
{
  inputs = {
    nixpkgs.url = "git+file://@repos@/nixpkgs?ref=provider";
    hostenv.url = "git+file://@repos@/hostenv?ref=main";
    hostenv.inputs.nixpkgs.follows = "nixpkgs";
  };
  outputs = _: { };
}
