# The plan's environments, as packages of the customers' own flakes.
#
#   plan       the plan
#   overrides  inputs of the customers' flakes that the provider replaces
#   root       the folder of the provider's flake.nix
#   callFlake  what evaluates a flake from a locked source, for tests
#
# Returns { enabled; packages; systemOf; }. A customer's source is fetched and
# evaluated when a package of it is used, once for all environments that share it.
{ plan, overrides, root, callFlake ? import ./call-flake.nix }:
let
  locks = import ./lock.nix;
  fail = import ./fail.nix;
  relock = "commit that, and run `mage plan`";

  # A disabled environment is on no node, and often its branch was deleted.
  enabled = (import ./attrs.nix).select (environment: environment.enable or true) plan.environments;

  # systemOf node: the platform of a node.
  systemOf = node: (import ./connection.nix plan node).system;

  isLocked = user: enabled.${user}.source or null != null;
  keyOf = user: builtins.toJSON enabled.${user}.source;
  flakes = builtins.mapAttrs
    (_: users: callFlake {
      # Errors name all environments of the source.
      subject = "environment '${builtins.concatStringsSep "' and '" users}'";
      source = locks.absolute root enabled.${builtins.head users}.source;
      inherit overrides;
    })
    (builtins.groupBy keyOf (builtins.filter isLocked (builtins.attrNames enabled)));

  package = user: environment:
    let
      subject = "environment ${user}";
      system = systemOf environment.node;
      inherit (environment.hostenv) environmentName;
      packages = flakes.${keyOf user}.packages or { };
      ofSystem = packages.${system} or { };
    in
    if ! isLocked user then
      fail {
        inherit subject;
        problem = "no locked source";
        hint = "run `mage plan`, without -locked and -inventory";
      }
    else if ! packages ? ${system} then
      fail {
        inherit subject;
        problem = "the project's flake has no packages.${system}, the platform of the node ${environment.node}";
        hint = "add ${builtins.toJSON system} to the systems of the project's flake.nix, ${relock}; or place the environment on another node";
      }
    else if ! ofSystem ? ${environmentName} then
      fail {
        inherit subject;
        problem = "the project's flake has no packages.${system}.${builtins.toJSON environmentName}, but "
          + (if ofSystem == { } then "none at all" else builtins.concatStringsSep ", " (builtins.attrNames ofSystem));
        hint = "declare the environment on the branch ${environment.source.ref or "that it is built from"} too, ${relock}";
      }
    else
      builtins.addErrorContext "while evaluating the package of environment '${user}'" ofSystem.${environmentName};
in
{
  inherit enabled systemOf;

  # By user name.
  packages = builtins.mapAttrs package enabled;
}
