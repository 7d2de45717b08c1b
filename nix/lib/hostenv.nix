# Makes hostenv evaluate each environment of a project separately.
#
# hostenv evaluates a project for one environment at a time. A module may set
# environments.${config.hostenv.environmentName}, as hostenv's own Drupal does:
# this value exists only in the evaluation for that environment. A project exports
# a single evaluation, for its default environment, but builds the package of each
# environment by a separate evaluation. The plan must have the values of the
# evaluation that builds the package.
let
  inherit (builtins) addErrorContext attrNames filter isAttrs mapAttrs;
  inherit (import ./strings.nix) hasSuffix;

  # argumentsOf function: the names of the attributes that a function takes, {}
  # if it takes no set. A function that an option's type wraps has them in
  # __functionArgs.
  argumentsOf = function:
    if builtins.isFunction function then builtins.functionArgs function
    else function.__functionArgs or (argumentsOf (function.__functor function));

  # wrap makeHostenv: hostenv's function for one platform, in either of its forms,
  # `modules: environmentName:` or `{ organisation, modules, ... }:`. A function
  # without an environmentName stays as it is.
  wrap = makeHostenv:
    let takes = argumentsOf makeHostenv; in
    if takes == { } then
      modules: environmentName: withEnvironments (makeHostenv modules environmentName) (makeHostenv modules)
    else if takes ? environmentName then {
      __functionArgs = takes;
      __functor = _: arguments: withEnvironments (makeHostenv arguments)
        (environmentName: makeHostenv (arguments // { inherit environmentName; }));
    }
    else makeHostenv;

  configOf = result: result.config or result;

  # withEnvironments result evaluate: the result, with each environment from its
  # own evaluation.
  withEnvironments = result: evaluate:
    let
      config = configOf result;
      own = name: _:
        addErrorContext "while evaluating environment ${builtins.toJSON name}" (environmentOf name (
          # Do not evaluate again the environment that the result is for.
          if config.hostenv.environmentName or null == name then config else configOf (evaluate name)
        ));
      changed = config // {
        environments = if isAttrs config.environments then mapAttrs own config.environments else config.environments;
      };
    in
    if ! config ? environments then result
    else if result ? config then result // { config = changed; }
    else changed;

  # The backups that carry an environment's data to another node. hostenv has no
  # option for them: we know them by the end of their names.
  environmentOf = name: config:
    let environment = config.environments.${name}; in
    if ! isAttrs environment then environment
    else { migrations = filter (hasSuffix "-migrate") (attrNames (config.services.restic.backups or { })); } // environment;
in
{
  # perEnvironment hostenv: the flake hostenv, with makeHostenv wrapped.
  perEnvironment = hostenv: hostenv // { makeHostenv = mapAttrs (_: wrap) hostenv.makeHostenv; };
}
