# A flake that is not at the root of its source, with inputs of the same source.
{
  inputs.deep.url = "path:./deep";
  inputs.raw.url = "path:./deep";
  inputs.raw.flake = false;
  inputs.nixpkgs.url = "git+file://@repos@/nixpkgs?ref=main";
  inputs.dir.url = "git+file://@repos@/subdir-input?ref=main&dir=sub";
  inputs.rawdir.url = "git+file://@repos@/subdir-input?ref=main&dir=sub";
  inputs.rawdir.flake = false;
  outputs =
    {
      self,
      deep,
      raw,
      nixpkgs,
      dir,
      rawdir,
    }:
    {
      site = nixpkgs.tool "site" {
        src = self;
        inherit raw rawdir;
        inherit (deep) tool;
        inherit (dir) word;
      };
      path = "${self}";
      source = "${self.sourceInfo}";
    };
}
