{
  inputs.nixpkgs.url = "git+file://@repos@/nixpkgs?ref=main";
  outputs =
    { self, nixpkgs }:
    {
      inherit (nixpkgs) release;
      make = name: src: nixpkgs.tool name { inherit src self; };
    };
}
