{
  inputs.nixpkgs.url = "git+file://@repos@/nixpkgs?ref=main";
  outputs =
    { self, nixpkgs }:
    {
      inherit (nixpkgs) release;
      php = nixpkgs.tool "php" { src = self; };
    };
}
