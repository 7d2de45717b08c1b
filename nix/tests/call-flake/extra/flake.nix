{
  inputs.nixpkgs.url = "git+file://@repos@/nixpkgs?ref=main";
  inputs.phps.url = "git+file://@repos@/phps?ref=main";
  inputs.phps.inputs.nixpkgs.follows = "nixpkgs";
  outputs =
    {
      self,
      nixpkgs,
      phps,
    }:
    {
      releases = [
        nixpkgs.release
        phps.release
      ];
      tool = nixpkgs.tool "extra" {
        src = self;
        inherit (phps) php;
      };
    };
}
