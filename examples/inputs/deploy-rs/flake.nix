{
  description = "Stands for deploy-rs in the examples, which run without a network";

  # Of deploy-rs only what makes a profile of what is to be activated: here, a
  # text that names it and the script.
  outputs = _:
    let
      profile = system: base: script: derivation {
        name = "activatable-${base.name}";
        inherit system base script;
        builder = "/bin/sh";
        args = [ "-c" ''printf '%s\n%s\n' "$base" "$script" > $out'' ];
      };
      activate = system: {
        nixos = base: profile system base.config.system.build.toplevel "switch-to-configuration switch";
        custom = profile system;
      };
    in
    {
      lib = builtins.listToAttrs (map (name: { inherit name; value.activate = activate name; })
        [ "x86_64-linux" "aarch64-linux" "aarch64-darwin" ]);
    };
}
