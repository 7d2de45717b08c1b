{
  description = "Stands for sops-nix's flake, around its own modules beside this file";

  outputs = _: { nixosModules.sops = ./modules/sops; };
}
