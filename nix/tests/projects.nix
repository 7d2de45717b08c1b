# The inventory's projects, with a stand-in for callFlake that returns an input's value,
# or calls it with the overrides if it is a function.
let
  hostenv = import ./fixtures/hostenv.nix;

  # A provider with some inputs. Its lock has type `git` for each, with the given extras.
  provide = { inputs, sources ? { }, provider ? { }, system ? "x86_64-linux", callFlake ? calledIn inputs }:
    let
      lock = {
        version = 7;
        root = "root";
        nodes = builtins.mapAttrs
          (name: _: {
            original = { type = "git"; url = "https://git.example/${name}"; } // sources.${name} or { };
            locked = { type = "git"; url = "https://git.example/${name}"; rev = "c0ffee"; } // sources.${name} or { };
          })
          inputs // {
          root.inputs = builtins.mapAttrs (name: _: name) inputs;
        };
      };
    in
    (import ../lib/compose.nix {
      inherit inputs system callFlake;
      self = throw "not asked for";
      provider = (import ../lib/provider-defaults.nix).plain // {
        hostenvHostname = "hosting.example";
        generatedPath = throw "not asked for";
      } // provider;
      lockFile = builtins.toFile "flake.lock" (builtins.toJSON lock);
    }).library;

  calledIn = inputs: { subject, source, overrides, again }:
    let
      input = inputs.${baseNameOf source.url};
      flake = if builtins.isFunction input then input overrides else input;
    in
    { sourceInfo = { inherit (flake) outPath; }; } // flake;

  # The folder of a project with the flake.nix of hostenv's template.
  tree = "${./fixtures/customer}";
  user = "site-main-b7ea262";

  # A project's flake with the environment main of acme__site.
  export = environment: {
    outPath = tree;
    lib.hostenv.x86_64-linux = {
      defaultEnvironment = "main";
      environments.main = {
        type = "production";
        hostenv = {
          organisation = "acme";
          project = "site";
          hostenvHostname = "hosting.example";
          userName = user;
          hostname = "${user}.hosting.example";
          root = tree;
        } // environment.hostenv or { };
      } // removeAttrs environment [ "hostenv" ];
    };
  };

  exportedBy = input: (provide { inputs.acme__site = input; }).inventory.projects.acme__site;
  project = environment: exportedBy (export environment);
  disagree = hostenv: project { inherit hostenv; };

  # A project whose tree is on disk, evaluated by the hostenv that its flake gets.
  source = "${./fixtures/project}";
  siteOf = takes: takes // {
    outPath = "${source}/.hostenv";
    sourceInfo.outPath = source;
    inputs = takes;
  } // (import "${source}/.hostenv/flake.nix").outputs (takes // { self = throw "not asked for"; });
  hostenvOf = makeHostenv: {
    takesSet = ! builtins.isFunction makeHostenv || builtins.functionArgs makeHostenv != { };
    makeHostenv.x86_64-linux = makeHostenv;
    makeHostenv.aarch64-linux = throw "not asked for";
  };
  evaluatedBy = makeHostenv: evaluatedWith { inputs.hostenv = hostenvOf makeHostenv; };
  evaluatedWith = { inputs ? { }, provider ? { }, site ? overrides: siteOf { inherit (overrides) hostenv; } }:
    (provide {
      inputs = inputs // { acme__site = site; };
      inherit provider;
      sources.acme__site.dir = ".hostenv";
    }).inventory.projects.acme__site;

  # The expected result.
  evaluated = extra: {
    source.original = { type = "git"; url = "https://git.example/acme__site"; dir = ".hostenv"; };
    defaultEnvironment = "production";
    environments =
      let
        environment = name: hash: more: {
          type = "development";
          virtualHosts."${name}.acme.example" = { };
          migrations = [ "database-migrate" "${name}-migrate" ];
        } // more // {
          hostenv = {
            organisation = "acme";
            project = "site";
            hostenvHostname = "hosting.example";
            backupsRepoHost = "s3:https://backups.example";
            environmentName = name;
            gitRef = name;
            root = ".";
            userName = "site-${name}-${hash}";
            hostname = "site-${name}-${hash}.hosting.example";
          } // extra // more.hostenv or { };
        };
      in
      {
        production = environment "production" "aa01dce" { type = "production"; documents = "web"; };
        uat = environment "uat" "b9389e0" { hostenv.gitRef = "release"; };
      };
  };
in
{
  exported = {
    expr = (provide { inputs = { acme__site = export { }; nixpkgs = throw "not a project"; self = throw "not a project"; }; provider.nodeFor.default = "a"; }).inventory;
    expected = {
      formatVersion = 1;
      system = "x86_64-linux";
      provider = { hostenvHostname = "hosting.example"; nodeFor.default = "a"; deployPublicKeys = [ ]; deployUser = "deploy"; nodes = { }; notProjects = [ ]; };
      projects.acme__site = {
        source.original = { type = "git"; url = "https://git.example/acme__site"; };
        defaultEnvironment = "main";
        environments.main = {
          type = "production";
          hostenv = {
            organisation = "acme";
            project = "site";
            hostenvHostname = "hosting.example";
            userName = user;
            hostname = "${user}.hosting.example";
            root = ".";
          };
        };
      };
    };
  };
  exported-of-old = {
    expr = (exportedBy { outPath = tree; hostenv.x86_64-linux = { inherit ((export { }).lib.hostenv.x86_64-linux) environments; other = throw "not asked for"; }; }).defaultEnvironment;
    expected = "main";
  };
  other-system = {
    expr = builtins.attrNames (provide { system = "aarch64-linux"; inputs.acme__site = { outPath = tree; lib.hostenv.aarch64-linux.environments = { }; }; }).inventory.projects;
    expected = [ "acme__site" ];
  };
  missing-system = {
    expr = (provide { system = "riscv64-linux"; inputs.acme__site = export { }; }).inventory;
    error = "project acme__site: it exports neither lib.hostenv.riscv64-linux nor hostenv.riscv64-linux.*hint: import hostenv's flake module";
  };
  same-project-twice = {
    expr = builtins.attrNames (provide { inputs = { acme__site = export { }; acme___site = export { }; }; }).inventory.projects;
    expected = [ "acme___site" "acme__site" ];
  };
  no-projects = { expr = (provide { inputs.self = { }; }).inventory.projects; expected = { }; };
  names-without-evaluation = { expr = (provide { inputs = { acme__site = throw "x"; beta__portal = throw "y"; self = throw "z"; }; }).projectNames; expected = [ "acme__site" "beta__portal" ]; };
  not-a-project = {
    expr =
      let p = provide { inputs = { acme__site = export { }; vendor__lib = throw "no project"; }; provider.notProjects = [ "vendor__lib" ]; }; in
      { names = p.projectNames; planned = builtins.attrNames p.inventory.projects; told = p.inventory.provider.notProjects; };
    expected = { names = [ "acme__site" ]; planned = [ "acme__site" ]; told = [ "vendor__lib" ]; };
  };
  not-a-project-only = {
    expr = (provide { inputs = { acme__site = export { }; vendor__lib = { }; }; provider.notProjects = [ "vendor__lib" ]; }).inventoryWith { only = [ "vendor__lib" ]; };
    error = "provider: no project is called vendor__lib.*hint: the projects are acme__site";
  };
  only = {
    expr = builtins.attrNames ((provide { inputs = { acme__site = export { }; beta__portal = throw "not wanted"; }; }).inventoryWith { only = [ "acme__site" ]; }).projects;
    expected = [ "acme__site" ];
  };
  only-unknown = {
    expr = (provide { inputs.acme__site = export { }; }).inventoryWith { only = [ "acme__shop" ]; };
    error = "provider: no project is called acme__shop.*hint: the projects are acme__site";
  };

  # Placeholders that were left in flake.nix, with their lines.
  placeholders = {
    expr = disagree { organisation = "yourorganisation"; project = "yourproject"; hostenvHostname = "your.hostenv.hostname"; userName = "yourproject-main-0000000"; };
    error = [
      "project acme__site: environments.\"main\".hostenv.organisation is \"yourorganisation\" and should be \"acme\"; "
      "hostenv.project is \"yourproject\" and should be \"site\"; "
      "hostenv.hostenvHostname is \"your.hostenv.hostname\" and should be \"hosting.example\"; "
      "hostenv.userName is \"yourproject-main-0000000\" and should be \"site-main-b7ea262\""
      "hint: write hostenvHostname = \"hosting.example\"; \\(line 8\\) organisation = \"acme\"; \\(line 6\\) project = \"site\"; \\(line 7\\) in the project's flake.nix, or give the input"
    ];
  };
  wrong-project = { expr = disagree { project = null; }; error = "hostenv.project is nothing and should be \"site\".*hint: write project = \"site\"; \\(line 7\\) in the project's flake.nix, or give the input the project's own name"; };
  wrong-domain = { expr = disagree { hostenvHostname = "other.example"; }; error = "hostenv.hostenvHostname is \"other.example\" and should be \"hosting.example\".*hint: write hostenvHostname = \"hosting.example\"; \\(line 8\\) in the project's flake.nix"; errorNot = "own name, organisation__project"; };
  no-such-line = {
    expr = (provide { inputs.beta__portal = overrides: removeAttrs (siteOf { hostenv = hostenvOf hostenv.curried; }) [ "inputs" ]; sources.beta__portal.dir = ".hostenv"; provider.hostenvHostname = "other.example"; }).inventory;
    error = [ "project beta__portal: environments.\"production\".hostenv.organisation is \"acme\" and should be \"beta\"" "environments.\"production\".hostenv.hostenvHostname is \"hosting.example\" and should be \"other.example\", and so of 1 more environment; " "hint: write hostenvHostname = \"other.example\"; \\(line [0-9]+\\) organisation = \"beta\"; \\(line [0-9]+\\) project = \"portal\"; \\(line [0-9]+\\) in the project's .hostenv/flake.nix" ];
  };
  wrong-hostname = { expr = disagree { hostname = "www.acme.example"; }; error = "hostenv.hostname is \"www.acme.example\" and should be \"site-main-b7ea262.hosting.example\".*hint: let hostenv name the environments"; };
  wrong-user = {
    expr = disagree { userName = "root"; hostname = "root.hosting.example"; };
    error = "hostenv.userName is \"root\" and should be \"site-main-b7ea262\"";
  };
  # Even with the right suffix it is another project's user, if that has the same seven digits.
  wrong-slug = { expr = disagree { userName = "shop-main-b7ea262"; hostname = "shop-main-b7ea262.hosting.example"; }; error = "hostenv.userName is \"shop-main-b7ea262\" and should be \"site-main-b7ea262\""; };
  another-environments-user = { expr = disagree { environmentName = "uat"; }; error = "hostenv.userName is \"site-main-b7ea262\" and should be \"site-uat-b9389e0\""; };
  not-a-name = { expr = disagree { environmentName = 7; }; error = "hostenv.environmentName is a int and should be the name of the environment"; };
  all-disagreements = { expr = disagree { organisation = "beta"; hostname = 5; }; error = "organisation is \"beta\".*; environments.\"main\".hostenv.hostname is a int"; };
  hostname-however-written = { expr = (disagree { hostname = "Site-Main-B7EA262.Hosting.Example."; }).defaultEnvironment; expected = "main"; };
  domain-left-out = { expr = (exportedBy (let whole = export { }; in whole // { lib.hostenv.x86_64-linux.environments.main.hostenv = removeAttrs whole.lib.hostenv.x86_64-linux.environments.main.hostenv [ "hostenvHostname" ]; })).defaultEnvironment; expected = "main"; };
  no-hostenv = { expr = exportedBy { outPath = tree; lib.hostenv.x86_64-linux.environments.main = { type = "production"; }; }; error = "project acme__site: environments.\"main\".hostenv is missing"; };

  no-environments = { expr = exportedBy { outPath = tree; lib.hostenv.x86_64-linux = { }; }; error = "project acme__site: environments is missing and not a set.*hint: declare environments.<name>"; };
  environments-a-list = { expr = exportedBy { outPath = tree; lib.hostenv.x86_64-linux.environments = [ ]; }; error = "project acme__site: environments is a list and not a set"; };
  default-not-a-name = { expr = exportedBy { outPath = tree; lib.hostenv.x86_64-linux = { environments = { }; defaultEnvironment = { }; }; }; error = "project acme__site: defaultEnvironment is a set and not a name"; };
  function = { expr = project { virtualHosts."www.acme.example".apply = x: x; }; error = "project acme__site: environments.main.virtualHosts.\"www.acme.example\".apply is a function"; };
  own-failure = { expr = project { users = throw "alice is gone"; }; error = [ "while evaluating environments.main.users of project acme__site" "alice is gone" ]; };
  bad-name = { expr = (provide { inputs.acme__site__old = export { }; }).inventory; error = "project acme__site__old: the input's name has 3 parts"; };
  secret = { expr = (provide { inputs.acme__site = export { }; provider.cloudflare.apiToken = "x"; }).inventory; error = "provider: cloudflare.apiToken"; };

  # Each environment has the values of its own evaluation, and those of flake.nix.
  evaluated = { expr = evaluatedBy hostenv.curried; expected = evaluated { }; };
  evaluated-as-set = { expr = evaluatedBy hostenv.asSet; expected = evaluated { buildReference = null; }; };
  evaluated-wrapped = { expr = evaluatedBy hostenv.wrapped; expected = evaluated { }; };
  # The project's own hostenv is used if the provider has none, or asks for the project's.
  evaluated-by-its-own = { expr = evaluatedWith { site = overrides: siteOf { hostenv = overrides.hostenv or (hostenvOf hostenv.curried); }; }; expected = evaluated { }; };
  evaluated-by-its-own-of-two = {
    expr = evaluatedWith { inputs.hostenv = throw "not asked for"; provider.overrides.hostenv = null; site = overrides: siteOf { hostenv = overrides.hostenv or (hostenvOf hostenv.curried); }; };
    expected = evaluated { };
  };
  evaluated-by-an-override = { expr = evaluatedWith { inputs.hostenv = throw "not asked for"; provider.overrides.hostenv = hostenvOf hostenv.curried; }; expected = evaluated { }; };
  without-backups = { expr = builtins.mapAttrs (_: e: e.migrations) (evaluatedBy hostenv.bare).environments; expected = { production = [ ]; uat = [ ]; }; };
  # The output of a hostenv that cannot evaluate one environment is used unchanged.
  evaluated-deaf = {
    expr = let e = (evaluatedBy hostenv.deaf).environments; in { names = builtins.attrNames e; uat = e.uat.virtualHosts or { }; production = e.production.virtualHosts; };
    expected = { names = [ "production" "uat" ]; uat = { }; production."production.acme.example" = { }; };
  };
  # The values of the default environment's evaluation are not evaluated again.
  evaluated-once = {
    expr =
      let makeHostenv = modules: name: if name == "production" then throw "once more" else hostenv.curried modules name; in
      (evaluatedBy makeHostenv).environments.production.type;
    expected = "production";
  };
  says-its-migrations = {
    expr = (evaluatedBy (modules: hostenv.curried (modules ++ [{ environments.uat.migrations = [ "database" ]; }]))).environments.uat.migrations;
    expected = [ "database" ];
  };
  own-failure-of-one = {
    expr = evaluatedBy (modules: name: if name == "uat" then throw "uat is gone" else hostenv.curried modules name);
    error = [ "while evaluating environment \"uat\"" "project acme__site" "uat is gone" ];
  };
  # Also with a hostenv in the provider's flake that has no evaluation function.
  exports-alone = {
    expr = (provide { inputs = { hostenv = { }; acme__site = export { }; }; }).inventory.projects.acme__site.defaultEnvironment;
    expected = "main";
  };

  # The arguments of the call of a project, and its source.
  called = {
    expr =
      let
        seen = { subject, source, overrides, again }: export { } // {
          sourceInfo.outPath = tree;
          lib.hostenv.x86_64-linux.environments = { };
          hostenv = throw "not asked for";
        } // { lib.hostenv.x86_64-linux.defaultEnvironment = builtins.toJSON { inherit subject source again; overrides = removeAttrs overrides [ "hostenv" ]; }; };
      in
      builtins.fromJSON (provide {
        inputs = { nixpkgs = "nixpkgs of the provider"; hostenv = hostenvOf hostenv.curried; sops-nix = throw "not shared"; acme__site = { }; };
        sources.acme__site.dir = ".hostenv";
        provider.overrides."drupal/nixpkgs" = "another";
        callFlake = seen;
      }).inventory.projects.acme__site.defaultEnvironment;
    expected = {
      subject = "project acme__site";
      source = { type = "git"; url = "https://git.example/acme__site"; rev = "c0ffee"; dir = ".hostenv"; };
      again = "run `nix flake update acme__site`, and plan again";
      overrides = { nixpkgs = "nixpkgs of the provider"; "drupal/nixpkgs" = "another"; };
    };
  };
}
