# The parts of a provider's flake that a deploy needs. .lib/deploy.nix of this
# repository makes the specification from generated/plan.json. The packages are
# scripts; only /bin/sh and coreutils are needed to build them.
#
# generated/fleet.json has { system; salt; payload; versions; }, where versions gives
# the version of each profile "node/name"; "" is the version of all others.
{
  outputs = _:
    let
      plan = builtins.fromJSON (builtins.readFile ./generated/plan.json);
      fleet = builtins.fromJSON (builtins.readFile ./generated/fleet.json);
      inherit (fleet) system;

      # run name attributes script: what a script of /bin/sh leaves in $out.
      run = name: attributes: script: derivation ({
        inherit name system;
        inherit (fleet) salt;
        builder = "/bin/sh";
        args = [ "-euc" script ];
        PATH = "/run/current-system/sw/bin:/usr/bin:/bin";
      } // attributes);

      versionOf = profile: fleet.versions.${profile} or fleet.versions."";

      # The profile's dependencies: a package of its own, and one that all profiles share.
      library = version: run "library-${version}" { inherit version; } "printf 'library %s\\n' \"$version\" >$out";
      base = { profile, name, program }:
        let version = versionOf profile; in
        run "${name}-${version}"
          {
            inherit program profile version;
            inherit (fleet) payload;
            library = library version;
            activation = builtins.readFile ./activation.sh;
          } ''
          mkdir -p $out/bin $out/share
          printf '%s %s\n' "$version" "$library" >$out/share/version
          head -c "$payload" /dev/zero >$out/share/payload
          {
            printf '#!/run/current-system/sw/bin/bash\nprofile=%s\n' "''${profile#*/}"
            printf '%s' "$activation"
          } >$out/bin/$program
          chmod +x $out/bin/$program
        '';

      # deploy-rs's lib.<system>.activate, which joins the package with two
      # scripts. It gets the attributes dryActivate and boot.
      custom = {
        __functor = self: package: script:
          let printed = "printf '%s\\n' ${package}"; in
          "${run "activatable-${package.name}"
            {
              inherit package script;
              dryActivate = self.dryActivate or printed;
              boot = self.boot or printed;
            } ''
            mkdir -p $out
            for part in $package/*; do ln -s "$part" $out/; done
            {
              printf '#!/run/current-system/sw/bin/bash\nset -euo pipefail\n'
              printf 'if [[ "''${DRY_ACTIVATE:-}" == "1" ]]\nthen\n%s\n' "$dryActivate"
              printf 'elif [[ "''${BOOT:-}" == "1" ]]\nthen\n%s\nelse\n%s\nfi\n' "$boot" "$script"
            } >$out/deploy-rs-activate
            printf '#!/run/current-system/sw/bin/bash\nexec ${fleet.activateRS} "$@"\n' >$out/activate-rs
            chmod +x $out/deploy-rs-activate $out/activate-rs
          ''}";
      };

      systems = builtins.mapAttrs
        (node: _: {
          config.system.build.toplevel = base { profile = "${node}/system"; name = "nixos-system-${node}"; program = "switch-to-configuration"; };
        })
        plan.nodes;
      packages = builtins.mapAttrs
        (user: environment: base { profile = "${environment.node}/${user}"; name = user; program = "activate"; })
        plan.environments;

      deploy = (import ./.lib/deploy.nix).specOf {
        inherit plan systems packages;
        activate = _: { inherit custom; };
      };
    in
    {
      inherit deploy;
    };
}
