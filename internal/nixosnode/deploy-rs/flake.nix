{
  description = "Takes the place of deploy-rs: its activation, around the program that the tests were given";

  inputs.nixpkgs.url = "path:/srv/nixpkgs";

  # lib.<system>.activate: a package joined with the script that activates it, and
  # with the program that runs the script.
  outputs = { nixpkgs, ... }:
    let
      activateFor = system:
        let
          pkgs = nixpkgs.legacyPackages.${system};
          program = pkgs.prebuilt "activate";
          file = name: text: pkgs.writeTextFile {
            inherit name;
            destination = "/${name}";
            executable = true;
            text = "#!${pkgs.runtimeShell}\n${text}";
          };
          # By the variables that `activate` sets: one verb, or the other, or neither.
          scriptOf = { dry, boot, script }: file "deploy-rs-activate" ''
            set -euo pipefail
            case ''${DRY_ACTIVATE:-}/''${BOOT:-} in
              1/*) ${dry} ;;
              */1) ${boot} ;;
              *)
                ${script}
                ;;
            esac
          '';
          custom = {
            __functor = self: package: script:
              let printed = "printf '%s\\n' ${package}"; in
              pkgs.symlinkJoin {
                name = "activatable-${package.name}";
                paths = [
                  package
                  (scriptOf { dry = self.dryActivate or printed; boot = self.boot or printed; inherit script; })
                  (file "activate-rs" "exec ${program}/bin/activate \"$@\"\n")
                ];
              };
          };
          switch = verb: "$PROFILE/bin/switch-to-configuration ${verb}";
        in
        {
          inherit custom;
          nixos = base:
            (custom // { dryActivate = switch "dry-activate"; boot = switch "boot"; })
              base.config.system.build.toplevel
              (switch "switch");
        };
    in
    {
      lib.x86_64-linux.activate = activateFor "x86_64-linux";
      packages.x86_64-linux = rec {
        deploy-rs = nixpkgs.legacyPackages.x86_64-linux.prebuilt "deploy";
        default = deploy-rs;
      };
    };
}
