{
  description = "Stands for deploy-rs in the tutorial";

  # Profiles that the tutorial's nodes can activate. A real deploy-rs makes them of
  # real packages; here a package is one text, and all that it does is below.
  outputs = _:
    let
      # The builder has no sandbox, so that it finds mkdir and ln.
      build = system: name: attributes: script: derivation ({
        inherit name system;
        builder = "/bin/sh";
        args = [ "-euc" script ];
        PATH = "/usr/bin:/bin";
      } // attributes);

      # An environment is its page, which its user puts into its home.
      activateEnvironment = ''
        #!/run/current-system/sw/bin/bash
        set -euo pipefail
        profile=$(cd -P -- "$(dirname -- "$0")/.." && pwd)
        cp -- "$profile/package" ~/page.new
        mv -- ~/page.new ~/page
        echo "serving $(head -n 1 "$profile/package")"
      '';

      profile = system: base: script: dryActivate: accounts:
        build system "activatable-${base.name}"
          { inherit base script dryActivate accounts activateEnvironment; switch = builtins.readFile ./switch.sh; } ''
          mkdir -p $out/bin
          ln -s $base $out/package
          printf '%s' "$accounts" > $out/accounts
          printf '%s' "$activateEnvironment" > $out/bin/activate
          printf '%s' "$switch" > $out/bin/switch-to-configuration
          printf '#!/run/current-system/sw/bin/bash\nset -euo pipefail\nif [ "''${DRY_ACTIVATE:-}" = 1 ]; then\n%s\nelse\n%s\nfi\n' \
            "$dryActivate" "$script" > $out/deploy-rs-activate
          printf '#!/run/current-system/sw/bin/bash\nexec /run/hostenv-fleet/activate-rs "$@"\n' > $out/activate-rs
          chmod +x $out/bin/* $out/deploy-rs-activate $out/activate-rs
        '';

      # What a system's activation reads, a line each: `user NAME UID`, `host NAME USER`.
      accountsOf = base:
        let
          # The examples' nixpkgs makes of a system a text with what the plan has of it.
          planned = (builtins.fromJSON base.text).plan;
          environments = builtins.foldl' (all: module: all // module.hostenv.environments or { }) { } planned;
          lines = user: environment: [ "user ${user} ${toString environment.uid}" ]
            ++ map (host: "host ${host} ${user}") (builtins.attrNames environment.virtualHosts);
        in
        builtins.concatStringsSep "" (map (line: "${line}\n")
          (builtins.concatLists (builtins.attrValues (builtins.mapAttrs lines environments))));

      activate = system: {
        custom = {
          __functor = self: base: script: profile system base script
            (self.dryActivate or "echo ${base}")
            (if base.name == "nixos-system" then accountsOf base else "");
        };
        nixos = base: (activate system).custom base.config.system.build.toplevel "$PROFILE/bin/switch-to-configuration switch";
      };
      systems = [ "x86_64-linux" "aarch64-linux" ];
      each = make: builtins.listToAttrs (map (name: { inherit name; value = make name; }) systems);
    in
    {
      lib = each (system: { activate = activate system; });
      packages = each (system: {
        deploy-rs = build system "deploy-rs-stand-in" { } ''
          mkdir -p $out/bin
          printf '#!/bin/sh\nexec /run/tutorial-bin/deploy "$@"\n' > $out/bin/deploy
          chmod +x $out/bin/deploy
        '';
      });
    };
}
