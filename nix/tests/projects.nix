let
  inherit (import ../lib) mkProvider;
  hostenv = import ./fixtures/hostenv.nix;

  # A provider of some inputs, whose lock says `git` of each with the extras given.
  provide = { inputs, sources ? { }, provider ? { }, system ? "x86_64-linux" }:
    let
      lock = {
        version = 7;
        root = "root";
        nodes = builtins.mapAttrs (name: _: { original = { type = "git"; url = "https://git.example/${name}"; } // sources.${name} or { }; }) inputs // {
          root.inputs = builtins.mapAttrs (name: _: name) inputs;
        };
      };
    in
    (mkProvider {
      inherit inputs system;
      provider = { hostenvHostname = "hosting.example"; } // provider;
      lockFile = builtins.toFile "flake.lock" (builtins.toJSON lock);
    }).lib.hostenvProvider;

  tree = "${builtins.storeDir}/00000000000000000000000000000000-source";
  user = "site-main-b7ea262";

  # An input as Nix gives it, with the environment main of acme__site.
  export = environment: {
    outPath = tree;
    sourceInfo.outPath = tree;
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

  # A project whose tree is on disk, evaluated by a hostenv; where Nix before
  # 2.14 has the root of the tree for outPath, newer ones have the folder.
  source = "${./fixtures/project}";
  evaluatedBy = makeHostenv: (provide {
    inputs = {
      hostenv.makeHostenv.x86_64-linux = makeHostenv;
      acme__site = { outPath = "${source}/.hostenv"; sourceInfo.outPath = source; rev = "c0ffee"; };
    };
    sources.acme__site.dir = ".hostenv";
  }).inventory.projects.acme__site;
  evaluated = extra: {
    source.original = { type = "git"; url = "https://git.example/acme__site"; dir = ".hostenv"; };
    defaultEnvironment = "production";
    environments =
      let
        environment = name: hash: more: {
          type = "development";
        } // more // {
          hostenv = {
            organisation = "acme";
            project = "site";
            hostenvHostname = "hosting.example";
            backupsRepoHost = null;
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
      provider = { hostenvHostname = "hosting.example"; nodeFor.default = "a"; };
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
  only = {
    expr = builtins.attrNames ((provide { inputs = { acme__site = export { }; beta__portal = throw "not wanted"; }; }).inventoryWith { only = [ "acme__site" ]; }).projects;
    expected = [ "acme__site" ];
  };
  only-unknown = {
    expr = (provide { inputs.acme__site = export { }; }).inventoryWith { only = [ "acme__shop" ]; };
    error = "provider: no input is called acme__shop.*hint: the projects are acme__site";
  };

  relative-path = {
    expr = ((provide {
      inputs.acme__site = export { hostenv.root = "${tree}/projects/site"; } // { outPath = "${tree}/./projects/site/.hostenv"; };
      sources.acme__site = { type = "path"; path = "./projects/site"; dir = ".hostenv"; };
    }).inventory.projects.acme__site).environments.main.hostenv.root;
    expected = ".";
  };

  wrong-organisation = {
    expr = disagree { organisation = "beta"; };
    error = "project acme__site: environments.\"main\".hostenv.organisation is \"beta\" and should be \"acme\"\n.*hint: write organisation = \"acme\", project = \"site\" and hostenvHostname = \"hosting.example\"";
  };
  wrong-project = { expr = disagree { project = null; }; error = "hostenv.project is nothing and should be \"site\""; };
  wrong-domain = { expr = disagree { hostenvHostname = "other.example"; }; error = "hostenv.hostenvHostname is \"other.example\" and should be \"hosting.example\""; };
  wrong-hostname = { expr = disagree { hostname = "www.acme.example"; }; error = "hostenv.hostname is \"www.acme.example\" and should be \"site-main-b7ea262.hosting.example\""; };
  wrong-user = {
    expr = disagree { userName = "root"; hostname = "root.hosting.example"; };
    error = "hostenv.userName is \"root\" and should be a name that ends in -b7ea262";
  };
  another-environments-user = { expr = disagree { environmentName = "uat"; }; error = "hostenv.userName is \"site-main-b7ea262\" and should be a name that ends in -b9389e0"; };
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

  evaluated = { expr = evaluatedBy hostenv.curried; expected = evaluated { selected = null; }; };
  evaluated-as-set = { expr = evaluatedBy hostenv.asSet; expected = evaluated { buildReference = "c0ffee"; }; };
  evaluated-wrapped = { expr = evaluatedBy hostenv.wrapped; expected = evaluated { }; };
  evaluated-elsewhere = {
    # A hostenv for another system alone does not count.
    expr = (provide { inputs = { hostenv.makeHostenv.aarch64-linux = throw "not asked for"; acme__site = export { }; }; }).inventory.projects.acme__site.defaultEnvironment;
    expected = "main";
  };
  no-hostenv-nix = {
    expr = (provide { inputs = { hostenv.makeHostenv.x86_64-linux = _: throw "not asked for"; acme__site = export { }; }; }).inventory.projects.acme__site.defaultEnvironment;
    expected = "main";
  };
  no-hostenv-nix-no-exports = {
    expr = (provide { inputs = { hostenv.makeHostenv.x86_64-linux = hostenv.curried; acme__site = { outPath = tree; }; }; sources.acme__site.dir = ".hostenv"; }).inventory.projects.acme__site;
    error = "project acme__site: it exports neither lib.hostenv.x86_64-linux nor hostenv.x86_64-linux, and has no .hostenv/hostenv.nix";
  };
  impostor = {
    expr = (provide { inputs = { hostenv.makeHostenv.x86_64-linux = hostenv.curried; beta__portal = { outPath = "${./fixtures/impostor}"; }; }; }).inventory;
    error = "project beta__portal: environments.\"main\".hostenv.organisation is \"acme\" and should be \"beta\".*environments.\"uat\".hostenv.hostenvHostname is \"elsewhere.example\" and should be \"hosting.example\".*hint: the provider sets these: remove them from the project's hostenv.nix";
  };
}
