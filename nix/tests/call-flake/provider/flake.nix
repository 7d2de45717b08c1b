# A provider that composes: his lock knows nothing of his customers.
{
  inputs = {
    nixpkgs.url = "git+file://@repos@/nixpkgs?ref=provider";
    hostenv.url = "git+file://@repos@/hostenv?ref=main";
    hostenv.inputs.nixpkgs.follows = "nixpkgs";
  };
  outputs = _: { };
}
