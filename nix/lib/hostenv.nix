# A hostenv that evaluates every environment of a project as itself.
#
# hostenv evaluates a project for one environment at a time, and modules ask which
# it is: what one says of environments.${config.hostenv.environmentName}, as
# hostenv's own Drupal does, is there for that environment alone. A project
# exports a single evaluation, that of its default environment, but builds each
# environment's package by an evaluation of its own. What is planned must be what
# is built.
let
  inherit (builtins) addErrorContext attrNames filter isAttrs mapAttrs;
  inherit (import ./strings.nix) hasSuffix;

  # argumentsOf function: the names of the attributes that a function takes, {}
  # if it takes no set; functions wrapped by an option's type say it themselves.
  argumentsOf = function:
    if builtins.isFunction function then builtins.functionArgs function
    else function.__functionArgs or (argumentsOf (function.__functor function));

  # wrap makeHostenv: hostenv's function for one platform, in either of its forms,
  # `modules: environmentName:` or `{ organisation, modules, ... }:`. One that
  # cannot be asked for an environment stays as it is.
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

  # withEnvironments result evaluate: the result, in which each environment is as
  # its own evaluation has it.
  withEnvironments = result: evaluate:
    let
      config = configOf result;
      own = name: _:
        addErrorContext "while evaluating environment ${builtins.toJSON name}" (environmentOf name (
          # The one that is evaluated already need not be once more.
          if config.hostenv.environmentName or null == name then config else configOf (evaluate name)
        ));
      changed = config // {
        environments = if isAttrs config.environments then mapAttrs own config.environments else config.environments;
      };
    in
    if ! config ? environments then result
    else if result ? config then result // { config = changed; }
    else changed;

  # The backups by which an environment's data move to another node: hostenv has
  # no option for them but the end of their names.
  environmentOf = name: config:
    let environment = config.environments.${name}; in
    if ! isAttrs environment then environment
    else { migrations = filter (hasSuffix "-migrate") (attrNames (config.services.restic.backups or { })); } // environment;
in
{
  # perEnvironment hostenv: the flake hostenv, whose makeHostenv does so.
  perEnvironment = hostenv: hostenv // { makeHostenv = mapAttrs (_: wrap) hostenv.makeHostenv; };
}
