# A customer with inputs that it pins, inputs that the provider replaces, and follows
# that lead through both.
{
  inputs = {
    nixpkgs.url = "git+file://@repos@/nixpkgs?ref=main";
    hostenv.url = "git+file://@repos@/hostenv?ref=main";
    phps.url = "git+file://@repos@/phps?ref=main";
    phps.inputs.nixpkgs.follows = "hostenv/nixpkgs";
    pkgs.follows = "phps/nixpkgs";
    extra.url = "git+file://@repos@/extra?ref=main";
    assets.url = "git+file://@repos@/assets?ref=main";
    assets.flake = false;
  };
  outputs =
    {
      self,
      nixpkgs,
      hostenv,
      phps,
      pkgs,
      extra,
      assets,
    }:
    {
      releases = {
        nixpkgs = nixpkgs.release;
        hostenv = hostenv.release;
        phps = phps.release;
        pkgs = pkgs.release;
        extra = extra.releases;
      };
      me = {
        inherit (self)
          rev
          shortRev
          revCount
          lastModified
          lastModifiedDate
          narHash
          ;
        path = "${self}";
        inherit (self.sourceInfo) outPath;
        inputs = builtins.attrNames self.inputs;
      };
      logo = builtins.readFile "${assets}/logo.txt";
      environment = hostenv.make "shop" self;
      site = pkgs.tool "site" {
        src = self;
        inherit assets;
        inherit (phps) php;
        inherit (extra) tool;
      };
    };
}
