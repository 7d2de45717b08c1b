{
  inputs.nixpkgs.url = "git+file://@repos@/nixpkgs?ref=main";
  outputs =
    { self, nixpkgs }:
    {
      tool = nixpkgs.tool "deep" { src = self; };
    };
}
