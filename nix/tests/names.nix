let
  names = import ../lib/names.nix;
in
{
  projects = {
    expr = names.projects { self = 1; nixpkgs = 1; hostenv-provider = 1; a_b = 1; beta__portal = 1; acme__site = 1; "Acme-Inc__My_Shop" = 1; } [ ];
    expected = [ "Acme-Inc__My_Shop" "acme__site" "beta__portal" ];
  };
  not-projects = { expr = names.projects { acme__site = 1; vendor__lib = 1; nixpkgs = 1; } [ "vendor__lib" "nixpkgs" ]; expected = [ "acme__site" ]; };
  not-projects-unknown = {
    expr = names.projects { acme__site = 1; vendor__lib = 1; } [ "vendor__lib" "vendor__libs" "x" ];
    error = "provider: notProjects names vendor__libs, x, and the flake has no such input.*hint: remove them from provider.notProjects";
  };

  plain = { expr = names.parse "acme__site"; expected = { organisation = "acme"; project = "site"; }; };
  three-underscores = { expr = names.parse "acme___site"; expected = { organisation = "acme"; project = "site"; }; };
  four-underscores = { expr = names.parse "acme____site"; expected = { organisation = "acme"; project = "site"; }; };
  around = { expr = names.parse "__acme__site__"; expected = { organisation = "acme"; project = "site"; }; };
  sanitised = { expr = names.parse "Acme-Inc__My_Very-Long.Project"; expected = { organisation = "acmeinc"; project = "myverylongproject"; }; };
  not-ascii = { expr = names.parse "müller__café2"; expected = { organisation = "mller"; project = "caf2"; }; };
  one-part = { expr = names.parse "acme__"; error = "project acme__: the input's name has 1 parts between double underscores, not 2.*hint: name the input organisation__project, as in inputs.acme__site, or list it in provider.notProjects"; };
  no-part = { expr = names.parse "____"; error = "project ____: the input's name has 0 parts"; };
  three-parts = { expr = names.parse "acme__site__old"; error = "project acme__site__old: the input's name has 3 parts"; };
  nothing-left = { expr = names.parse "acme__-"; error = "project acme__-: a part of the input's name has neither letters nor digits"; };

  # The table that hostenv/names is tested with as well.
  user-names =
    let table = builtins.fromJSON (builtins.readFile ../../hostenv/names/testdata/userName.json); in
    {
      expr = map ({ organisation, project, environment, ... }: names.userName { inherit organisation project; } environment) table;
      expected = map (case: case.userName) table;
    };
  # The user names of all recorded projects.
  recorded-user-names = {
    expr =
      let
        golden = ../../golden;
        scenarios = builtins.filter (name: builtins.pathExists (golden + "/${name}/inventory.json")) (builtins.attrNames (builtins.readDir golden));
        ofProject = project: builtins.attrValues project.environments or { };
        ofScenario = name: builtins.concatMap ofProject (builtins.attrValues (builtins.fromJSON (builtins.readFile (golden + "/${name}/inventory.json"))).projects or { });
        differing = builtins.filter
          ({ hostenv, ... }: names.userName { inherit (hostenv) organisation project; } hostenv.environmentName != hostenv.userName)
          (builtins.concatMap ofScenario scenarios);
      in
      { scenarios = builtins.length scenarios > 50; inherit differing; };
    expected = { scenarios = true; differing = [ ]; };
  };
}
