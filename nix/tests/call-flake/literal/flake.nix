# The reference that callFlake must equal: the customer as a literal input, with follows.
{
  inputs = {
    nixpkgs.url = "git+file://@repos@/nixpkgs?ref=provider";
    hostenv.url = "git+file://@repos@/hostenv?ref=main";
    hostenv.inputs.nixpkgs.follows = "nixpkgs";
    shop.url = "git+file://@repos@/shop?ref=main";
    shop.inputs.nixpkgs.follows = "nixpkgs";
    shop.inputs.hostenv.follows = "hostenv";
  };
  outputs = _: { };
}
