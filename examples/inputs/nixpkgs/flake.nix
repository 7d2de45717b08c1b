{
  description = "Stands for nixpkgs in the examples, which run without a network";

  # As little as the examples need, and nothing but /bin/sh to build it with: a
  # NixOS system is a text that says what it would be made of.
  outputs = _:
    let
      # release: which nixpkgs something was built with, as the examples show.
      release = import ./release.nix;

      pkgsFor = system: rec {
        _type = "pkgs";
        inherit release system;

        # A file that a script writes to $out. Outputs of others may be named in it.
        runCommand = name: env: script: derivation (env // {
          inherit name system;
          builder = "/bin/sh";
          args = [ "-c" script ];
        });
        writeText = name: text: runCommand name { inherit text; } ''printf %s "$text" > $out'';
        writeShellScript = name: text: runCommand name { inherit text; } ''
          { echo '#!/bin/sh'; printf %s "$text"; } > $out
        '';

        # Programs that are only named, and the command line tool, which the
        # examples do not build.
        inherit (builtins.mapAttrs (name: _: writeText name "") {
          coreutils = null; gnused = null;
          go = null; mage = null; nix = null; git = null; openssh = null; sops = null; age = null; dig = null; deploy-rs = null;
        }) coreutils gnused go mage nix git openssh sops age dig deploy-rs;
        stdenv.hostPlatform = { inherit system; };
        mkShell = { name, packages, ... }: writeText name (builtins.concatStringsSep "\n" (map toString packages));
        buildGoModule = args: writeText args.pname "" // { inherit (args) meta; };

        callPackage = file: overrides:
          let function = import file; in
          function (builtins.intersectAttrs (builtins.functionArgs function) all // overrides);
        all = pkgsFor system // { inherit lib; };
      };

      lib.licenses.mit = "MIT";

      # Modules are not evaluated: the system is what the plan says of the node.
      lib.nixosSystem = { modules, specialArgs ? { } }:
        let
          data = builtins.filter builtins.isAttrs modules;
          platforms = builtins.filter (module: module ? nixpkgs.hostPlatform) data;
          system = (builtins.head platforms).nixpkgs.hostPlatform.content;
          planned = builtins.filter (module: module._file or null == "generated/plan.json") data;
        in
        {
          config = {
            boot.loader.systemd-boot.enable = false;
            system.build.toplevel = (pkgsFor system).writeText "nixos-system"
              (builtins.toJSON { inherit release system; plan = map (module: module.config) planned; });
          };
        };
    in
    {
      inherit lib;
      legacyPackages = builtins.listToAttrs (map (name: { inherit name; value = pkgsFor name; })
        [ "x86_64-linux" "aarch64-linux" "aarch64-darwin" ]);
    };
}
