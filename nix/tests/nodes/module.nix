# A machine with this repository's flake output nixosModules, as in docs/nodes.md, and
# NixOS's real modules.
#
#   root  the folder of HOSTENV_TEST_NIXOS_EVAL
#   name  the name in nixosModules
{ root, name }:
let
  lib = import (root + "/nixpkgs/lib");
  flake = (import ../../../flake.nix).outputs { };
  inherit (import (root + "/nixpkgs/nixos/lib/eval-config.nix") {
    system = null;
    inherit lib;
    modules = [
      flake.nixosModules.${name}
      # Import the same file a second time: this must have no effect.
      ../../modules/common.nix
      {
        nixpkgs.pkgs = import (root + "/stub-pkgs.nix") {
          inherit lib;
          names = builtins.fromJSON (builtins.readFile (root + "/pkgs-names.json"));
          system = "x86_64-linux";
        };
        hostenv.nodeName = "lab";
        hostenv.deploy.publicKeys = [ "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINEAyBPwmBOgCw7egLXjJCNKmIHaVEouaQywqtLFeof3 deploy" ];
        hostenv.deploy.trusted = true;
      }
      ./machine.nix
    ];
  }) config;
in
{
  assertions = map (a: a.message) (builtins.filter (a: ! a.assertion) config.assertions);
  inherit (config) warnings;
  inherit (config.networking) hostName;
  nginx = config.services.nginx.enable;
  deployKeys = config.users.users.deploy.openssh.authorizedKeys.keys;
  toplevel = config.system.build.toplevel.outPath;
}
