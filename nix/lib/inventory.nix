# The inventory: everything that a plan is made from, as one document.
#
# First come { inputs, provider, system } as mkProvider takes them, the parsed
# lock, the folder of the provider's flake.nix (root), what the provider replaces
# in the projects' flakes (overrides), and callFlake; then
#
#   progress  a mark: a line that holds it is traced before each project; null for none
#   only      the names of the projects wanted, null for all
let
  names = import ./names.nix;
  options = import ./provider-options.nix;
  project = import ./project.nix;
  fail = import ./fail.nix;
in
{ inputs, provider, system, lock, root, overrides, callFlake }:
let
  all = names.projects inputs provider.notProjects;

  select = only:
    let unknown = builtins.filter (name: ! builtins.elem name all) only; in
    if only == null then all
    else if unknown == [ ] then only
    else
      fail {
        subject = "provider";
        problem = "no project is called ${builtins.concatStringsSep " or " unknown}";
        hint = "the projects are ${builtins.concatStringsSep ", " all}";
      };

  evaluate = progress: name:
    let
      value = project {
        inherit name lock root system overrides callFlake;
        hostenvHostname = options.hostname provider;
      };
    in
    if progress == null then value else builtins.trace "hostenv-provider ${progress}: evaluating ${name}" value;
in
{ progress ? null, only ? null }:
{
  formatVersion = 1;
  inherit system;
  provider = options.data provider;
  projects = builtins.listToAttrs
    (map (name: { inherit name; value = evaluate progress name; }) (select only));
}
