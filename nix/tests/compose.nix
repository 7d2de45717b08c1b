# The outputs that are composed from a plan, with a stand-in for callFlake that returns
# its arguments, and inputs that must not be evaluated.
let
  nothing = throw "not asked for";
  plans = ./fixtures/plans;

  compose = { plan ? "well", inputs ? { }, provider ? { }, callFlake ? _: nothing, ... }@args:
    let root = plans + "/${plan}"; in
    import ../lib/compose.nix ({
      inherit inputs callFlake;
      self = nothing;
      system = "x86_64-linux";
      lockFile = root + "/flake.lock";
      provider = (import ../lib/provider-defaults.nix).complete { inherit inputs root; } provider;
    } // removeAttrs args [ "plan" "inputs" "provider" ]);

  # A flake whose packages hold the arguments of its call.
  echo = { subject, source, overrides }: {
    packages.x86_64-linux = {
      main = { inherit subject overrides; inherit (source) rev; };
      next = { inherit subject; inherit (source) rev; };
    };
    packages.aarch64-linux = { };
  };
  packages = args: (composed args).environments;
  composed = args: (compose ({ callFlake = echo; } // args)).legacyPackagesFor "x86_64-linux";

  nixosSystem = { modules, specialArgs }: { config.system.build.toplevel = "toplevel"; };
  all = {
    inputs = { nixpkgs = nothing; deploy-rs = nothing; acme__site = nothing; hostenv = nothing; };
  };
in
{
  # These outputs need no input and no customer.
  names = {
    expr =
      let c = compose all; in {
        nodes = builtins.attrNames c.nixosConfigurations;
        packages = builtins.attrNames (c.packagesFor "x86_64-linux");
        packagesOfTheOther = builtins.attrNames (c.packagesFor "aarch64-linux");
        packagesOfNone = builtins.attrNames (c.packagesFor "aarch64-darwin");
        environments = builtins.attrNames (c.legacyPackagesFor "aarch64-darwin").environments;
        library = builtins.attrNames c.library;
        inherit (c.library) projectNames;
      };
    expected = {
      nodes = [ "node-a" "node-b" "node-c" ];
      packages = [ "env-new-main-1111111" "env-shop-main-2222222" "env-shop-next-3333333" "hostenv-provider" "node-node-a" "node-node-c" ];
      packagesOfTheOther = [ "env-shop-test-4444444" "hostenv-provider" "node-node-b" ];
      packagesOfNone = [ "hostenv-provider" ];
      environments = [ "new-main-1111111" "shop-main-2222222" "shop-next-3333333" "shop-test-4444444" ];
      library = [ "accessTokens" "connections" "deployOf" "held" "inventory" "inventoryWith" "overrides" "plan" "profilesOf" "projectNames" ];
      projectNames = [ "acme__site" ];
    };
  };
  data = {
    expr =
      let c = compose all; in {
        node-b = c.library.connections.node-b;
        digest = builtins.hashString "sha256" (builtins.toJSON c.library.plan) == builtins.hashString "sha256" (builtins.toJSON (builtins.fromJSON (builtins.readFile (plans + "/well/generated/plan.json"))));
      };
    expected = { node-b = { hostname = "192.0.2.2"; system = "aarch64-linux"; remoteBuild = false; profileLink = "/nix/var/nix/profiles/system"; tempPath = "/run/hostenv/deploy"; autoRollback = true; magicRollback = true; activationTimeout = 3600; }; digest = true; };
  };

  environment = {
    expr = removeAttrs (packages { }).shop-main-2222222 [ "overrides" ];
    expected = { subject = "environment 'shop-main-2222222' and 'shop-next-3333333'"; rev = "1"; };
  };
  one-source-is-called-once = {
    expr =
      let
        callFlake = args: if args.source.rev == "1" && args.subject != "environment 'shop-main-2222222' and 'shop-next-3333333'" then throw "twice" else echo args;
      in
      (packages { inherit callFlake; }).shop-next-3333333;
    expected = { subject = "environment 'shop-main-2222222' and 'shop-next-3333333'"; rev = "1"; };
  };
  no-source = { expr = (packages { }).new-main-1111111; error = "environment new-main-1111111: no locked source.*hint: run `mage plan`"; };
  no-package = {
    expr = (packages { callFlake = _: { packages.aarch64-linux = { main = 1; other = 2; }; }; }).shop-test-4444444;
    error = "environment shop-test-4444444: the project's flake has no packages.aarch64-linux.\"test\", but main, other.*hint: declare the environment on the branch test too, commit that, and run `mage plan`";
  };
  no-packages = { expr = (packages { }).shop-test-4444444; error = "has no packages.aarch64-linux.\"test\", but none at all"; };
  no-system = {
    expr = (packages { callFlake = _: { packages.x86_64-linux = { }; }; }).shop-test-4444444;
    error = "environment shop-test-4444444: the project's flake has no packages.aarch64-linux, the platform of the node node-b.*hint: add \"aarch64-linux\" to the systems";
  };
  no-outputs = { expr = (packages { callFlake = _: { }; }).shop-main-2222222; error = "environment shop-main-2222222: the project's flake has no packages.x86_64-linux"; };

  overrides = {
    expr = (packages {
      inputs = { nixpkgs = 1; hostenv = 2; phps = 3; sops-nix = 4; acme__site = 5; };
      provider.overrides = { "drupal/nixpkgs" = 6; hostenv = 7; phps = null; };
    }).shop-main-2222222.overrides;
    expected = { nixpkgs = 1; hostenv = 7; "drupal/nixpkgs" = 6; };
  };

  nodes = {
    expr = (composed { inputs.nixpkgs.lib = { inherit nixosSystem; }; }).nodes;
    expected = { node-a = "toplevel"; node-b = "toplevel"; node-c = "toplevel"; };
  };
  node-by-option = {
    expr = (composed { provider = { inherit nixosSystem; }; }).nodes.node-c;
    expected = "toplevel";
  };

  without-inputs = {
    expr =
      let c = compose { }; in {
        inherit (c) nixosConfigurations;
        packages = builtins.attrNames (c.packagesFor "x86_64-linux");
        apps = c.appsFor "x86_64-linux";
      };
    expected = {
      nixosConfigurations = { };
      packages = [ "env-new-main-1111111" "env-shop-main-2222222" "env-shop-next-3333333" ];
      apps = { };
    };
  };
  no-nixpkgs = {
    expr = (composed { }).nodes.node-a;
    error = "provider: the node node-a needs the input nixpkgs, which the flake does not have.*hint: add inputs.nixpkgs.url = \"github:NixOS/nixpkgs/nixos-unstable\"; to flake.nix and run `nix flake lock`, or set provider.nixosSystem";
  };

  without-plan = {
    expr = builtins.attrNames ((compose (all // { plan = "none"; })).packagesFor "x86_64-linux");
    expected = [ "hostenv-provider" ];
  };
  without-plan-nodes = { expr = (compose (all // { plan = "none"; })).nixosConfigurations; error = "generated/plan.json: there is none.*hint: run `mage plan`"; };
  without-plan-node = { expr = (composed { plan = "none"; }).nodes.node-a; error = "generated/plan.json: there is none"; };
  without-plan-environment = { expr = (composed { plan = "none"; }).environments.x; error = "generated/plan.json: there is none"; };
}
