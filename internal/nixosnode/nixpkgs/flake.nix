{
  description = "Takes the place of nixpkgs on the nodes of tests: NixOS's own modules over Debian's packages";

  # Beside this file the tests put nixpkgs/lib and nixpkgs/nixos, which are
  # nixpkgs' own; names.json, the packages that NixOS's modules mention;
  # versions.json, of the Debian packages in the tree; and programs/, which Go or
  # cargo built.
  outputs = _:
    let
      lib = import ./nixpkgs/lib;
      pkgs = import ./pkgs.nix {
        inherit lib;
        names = builtins.fromJSON (builtins.readFile ./names.json);
        versions = builtins.fromJSON (builtins.readFile ./versions.json);
        builders = ./build;
        programs = ./programs;
      };

      nixosSystem = args: import ./nixpkgs/nixos/lib/eval-config.nix ({ system = null; } // args // {
        inherit lib;
        modules = [ { nixpkgs.pkgs = pkgs; } ./debian.nix ] ++ args.modules;
      });
    in
    {
      lib = lib // { inherit nixosSystem; };
      legacyPackages.x86_64-linux = pkgs;
      nixosModules.machine = ./machine.nix;

      # Every package there is, so that a store can be made that has them all.
      packages.x86_64-linux.everything = pkgs.writeText "everything" (lib.concatMapStrings (name: "${pkgs.${name}}\n") pkgs.ofDebian);
    };
}
