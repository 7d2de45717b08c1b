# The reference that callFlake must equal: the customer as a literal input, with follows
# into an input of its input. Few Nix versions can lock it.
{
  inputs = {
    nixpkgs.url = "git+file://@repos@/nixpkgs?ref=provider";
    hostenv.url = "git+file://@repos@/hostenv?ref=main";
    hostenv.inputs.nixpkgs.follows = "nixpkgs";
    shop.url = "git+file://@repos@/shop?ref=main";
    shop.inputs.nixpkgs.follows = "nixpkgs";
    shop.inputs.hostenv.follows = "hostenv";
    shop.inputs.extra.inputs.nixpkgs.follows = "nixpkgs";
  };
  outputs = _: { };
}
