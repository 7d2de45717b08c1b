# Stands for nix/package.nix.
{ buildGoModule }: buildGoModule { pname = "hostenv-provider"; }
