# The packages of environments that have one source, evaluated alone.
#
#   held          see held.nix
#   environments  user name -> { source; node; system; environmentName; } of the plan
#
# Returns, for each user name, what evaluated-package.nix makes the package of again:
# { name; path; derivation; output; }.
{ held, environments }:
let
  inherit (builtins) attrNames attrValues concatMap getContext head isAttrs isString length listToAttrs mapAttrs;
  fail = import ./fail.nix;

  alone = import ./held.nix held;
  packages = import ./environments.nix {
    inherit (alone) root overrides callFlake;
    plan = {
      environments = mapAttrs (_: e: { inherit (e) source node; hostenv = { inherit (e) environmentName; }; }) environments;
      nodeConnections = listToAttrs (map (e: { name = e.node; value = { inherit (e) system; }; }) (attrValues environments));
    };
  };

  # A path without a context is of no derivation: the store has it, or it is no path.
  describe = user: package:
    let
      path = "${package}";
      context = getContext path;
      derivations = attrNames context;
      outputs = concatMap (derivation: context.${derivation}.outputs or [ null ]) derivations;
      one = list: if list == [ ] then null else head list;
    in
    if ! isAttrs package || ! isString (package.name or null) || length derivations > 1 || length outputs > 1 then
      fail {
        subject = "environment ${user}";
        problem = "the project's package ${builtins.toJSON environments.${user}.environmentName} is no derivation with a name";
        hint = "let packages.<system>.<environment> of the project's flake be what hostenv makes";
      }
    else {
      name = builtins.unsafeDiscardStringContext package.name;
      path = builtins.unsafeDiscardStringContext path;
      derivation = one derivations;
      output = one outputs;
    };
in
mapAttrs describe packages.packages
