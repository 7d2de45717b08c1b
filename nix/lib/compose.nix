# The outputs of a provider's flake.
#
#   inputs, self      the flake's
#   provider          its options, completed by provider-defaults.nix
#   system, lockFile  see provider-flake.nix
#   callFlake         see environments.nix
#
# Returns nixosConfigurations and deploy; packagesFor, legacyPackagesFor, appsFor
# and devShellsFor, which are functions of a system; and library, which becomes
# lib.hostenvProvider.
#
# - Evaluation is lazy. Only the inventory, the packages of environments, and the
#   deploy specification need the customers' flakes.
# - Without a plan, outputs that need one fail with an error that names the command.
#   The names of packages and apps need none: one of them makes the first plan, and
#   Nix reads the packages before it reads `lib`.
# - Without an input, outputs that `nix flake check` reads leave out what needs the
#   input; all others fail with an error that names it.
{ inputs
, self
, provider
, system
, lockFile
, callFlake ? import ./call-flake.nix
}:
let
  nodes = import ./nodes.nix;
  deploy = import ./deploy.nix;
  fail = import ./fail.nix;
  inherit (import ./attrs.nix) default select;

  committed = import ./plan.nix { inherit (provider) generatedPath; };
  plan = committed.document;

  root = dirOf lockFile;

  inventory = import ./inventory.nix {
    inherit inputs provider system root overrides callFlake;
    lock = (import ./lock.nix).read lockFile;
  };

  # require "nixosSystem" for: the option, or an error that says what it is for.
  require = option: for:
    let
      from = {
        nixosSystem = { name = "nixpkgs"; url = "github:NixOS/nixpkgs/nixos-unstable"; };
        activate = { name = "deploy-rs"; url = "github:serokell/deploy-rs"; };
      };
      input = from.${option};
    in
    if provider.${option} != null then provider.${option}
    else
      fail {
        subject = "provider";
        problem = "${for} needs the input ${input.name}, which the flake does not have";
        hint = "add inputs.${input.name}.url = \"${input.url}\"; to flake.nix and run `nix flake lock`, or set provider.${option}";
      };

  # A customer's inputs of these names are replaced by the provider's, as by
  # `follows`: one nixpkgs and one hostenv for all environments.
  shared = builtins.intersectAttrs { hostenv = null; nixpkgs = null; flake-parts = null; phps = null; } inputs;
  overrides = select (input: input != null) (shared // provider.overrides);

  environments = import ./environments.nix {
    inherit plan root overrides callFlake;
  };
  inherit (environments) systemOf;

  # The flake as modules get it: of what Nix says about its source only where it is. So
  # what they make of it does not change with each commit, and is the same in a cut of the
  # flake (hostenv/deploy/closure).
  undated = flake: removeAttrs flake
    ([ "sourceInfo" ] ++ builtins.filter (name: name != "outPath") (builtins.attrNames (flake.sourceInfo or { })));
  own = undated self;
  inputsOfModules = inputs // (if inputs ? self then { self = own; } else { });

  systems = builtins.mapAttrs
    (node: _: require "nixosSystem" "the node ${node}" {
      modules = [
        {
          _file = "provider.nodes.${builtins.toJSON node}.system";
          nixpkgs.hostPlatform = default (systemOf node);
        }
      ] ++ nodes.modulesOf { inherit plan provider node; inputs = inputsOfModules; self = own; };
      specialArgs = { inputs = inputsOfModules; self = own; };
    })
    plan.nodes;

  toplevels = builtins.mapAttrs (_: system: system.config.system.build.toplevel) systems;

  deployWith = plan: packages: (deploy.specOf {
    inherit plan provider systems packages;
    inherit (provider) pkgsFor; # null: the scripts take their programs from PATH
    activate = require "activate" "deploy.nodes";
  }).nodes;

  evaluated = builtins.mapAttrs (_: import ./evaluated-package.nix);

  # prefixed "a-" (name: name != "c") { b = 1; c = 2; } is { a-b = 1; }.
  prefixed = prefix: keep: set: builtins.listToAttrs (map
    (name: { name = prefix + name; value = set.${name}; })
    (builtins.filter keep (builtins.attrNames set)));

  packageFor = system:
    let pkgs = provider.pkgsFor system; in
    pkgs.callPackage ../package.nix { version = inputs.hostenv-provider.shortRev or "unreleased"; };
in
{
  library = {
    # The names of the inputs that are projects.
    projectNames = (import ./names.nix).projects inputs provider.notProjects;

    # The document that plans are made from: JSON-safe, without store paths.
    # It evaluates the options first, so that their errors are reported before the
    # projects are evaluated, which takes minutes.
    inventory = let document = inventory { }; in builtins.seq document.provider document;

    # The same. With `progress = mark` it traces a line with the mark before each
    # project, which no project can feign; `only` limits it to a list of projects.
    inventoryWith = inventory;

    # What `mage` needs to evaluate each project, and the packages of each source, in a
    # process of its own (held.nix), without a value of any project.
    held =
      let
        text = path: builtins.unsafeDiscardStringContext (toString path);
        strings = import ./strings.nix;
        # below tree path: the rest of a path in a flake's source, null outside.
        below = flake: path: strings.dropUpTo (text (flake.sourceInfo.outPath or flake.outPath)) (text path);
        holders = builtins.filter (flake: flake ? narHash && below flake ./. != null)
          ((if inputs ? hostenv-provider then [ inputs.hostenv-provider ] else [ ]) ++ [ self ]);
        same = builtins.tryEval (
          builtins.attrNames overrides == builtins.attrNames shared && provider.overrides == { }
          # Each is one value in memory, unless the provider has changed it.
          && shared == builtins.intersectAttrs shared (self.inputs or { })
        );
      in
      {
        inherit (builtins) storeDir;
        inherit system;
        inherit (provider) evaluation;
        hostenvHostname = (import ./provider-options.nix).hostname provider;
        # The trees with this library and with the provider's flake.
        library =
          if holders == [ ] then null
          else { inherit (builtins.head holders) narHash; dir = below (builtins.head holders) ./.; };
        own = {
          narHash = self.narHash or null;
          dir = let found = below self root; in if found == null then "" else strings.dropPrefix "/" found;
        };
        # The folder of the nodes in the provider's tree, "" if it is not there.
        nodes =
          let found = if provider.nodesPath == null then null else below self provider.nodesPath; in
          if found == null then "" else strings.dropPrefix "/" found;
        inherit (provider.evaluation) leftOut;
        # The names of inputs that are the provider's own, null if they are changed
        # values, which only the provider's flake can give.
        shared = if same.success && same.value then builtins.attrNames shared else null;
        replaced = builtins.attrNames overrides;
      };
    inherit overrides;

    # deployOf packages: deploy.nodes, with the packages of environments that `mage`
    # evaluated before, each project's in a process of its own: { <userName> =
    # { name; path; derivation; output; }; }. No code of a customer is evaluated.
    deployOf = packages: deployWith plan (evaluated packages);

    # profilesOf plan packages: deploy.nodes of another plan, without its systems: the
    # profiles of environments follow from the plan's entries for them alone.
    profilesOf = plan: packages: deployWith (import ./plan-types.nix committed.name plan) (evaluated packages);

    # The place of the access tokens with which Nix reads the customers'
    # repositories: a sops file and a key in it; null for none.
    accessTokens =
      let
        secret = provider.accessTokensSecret;
        text = path: builtins.unsafeDiscardStringContext (toString path);
        root = text (dirOf lockFile) + "/";
        file = text provider.secretsPath;
        length = builtins.stringLength root;
      in
      if secret == null then null
      else if provider.secretsPath == null then
        fail {
          subject = "provider";
          problem = "accessTokensSecret is ${builtins.toJSON secret}, and there is no sops file: secretsPath is null";
          hint = "set provider.secretsPath to the sops file, or leave provider.accessTokensSecret out";
        }
      else {
        inherit secret;
        # In the provider's folder, not in the store: sops names it in errors.
        file = if builtins.substring 0 length file == root then builtins.substring length (-1) file else file;
      };

    # The committed plan, and the connections of its nodes.
    inherit plan;
    connections = plan.nodeConnections;
  };

  nixosConfigurations = if provider.nixosSystem == null then { } else systems;

  deploy.nodes = deployWith plan environments.packages;

  packagesFor = system:
    (if provider.pkgsFor == null then { } else { hostenv-provider = packageFor system; })
    // (if ! committed.ours || provider.nixosSystem == null then { }
    else prefixed "node-" (node: systemOf node == system) toplevels)
    // (if ! committed.ours then { }
    else prefixed "env-" (user: systemOf environments.enabled.${user}.node == system) environments.packages);

  # The same for all systems: `nix build .#nodes.<node>` works on a machine of any
  # platform.
  legacyPackagesFor = _: {
    nodes = toplevels;
    environments = environments.packages;
  };

  appsFor = system:
    if provider.pkgsFor == null then { }
    else import ../apps.nix { pkgs = provider.pkgsFor system; package = packageFor system; };

  devShellsFor = system:
    if provider.pkgsFor == null then { }
    else {
      default = import ../dev-shell.nix { inherit inputs; pkgs = provider.pkgsFor system; package = packageFor system; };
    };
}
