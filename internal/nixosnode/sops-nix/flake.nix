{
  description = "Takes the place of sops-nix's flake, around its own modules beside this file";

  outputs = _: { nixosModules.sops = ./modules/sops; };
}
