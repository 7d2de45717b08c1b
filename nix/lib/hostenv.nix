# A customer's environments as the provider's own hostenv evaluates them.
let
  # force value: a definition that wins over what a customer's module says, as
  # the module system's mkForce makes it.
  force = value: {
    _type = "override";
    priority = 50;
    content = value;
  };

  # argumentsOf function: the names of the attributes that a function takes, {}
  # if it takes no set; functions wrapped by an option's type say it themselves.
  argumentsOf = function:
    if builtins.isFunction function then builtins.functionArgs function
    else function.__functionArgs or (argumentsOf (function.__functor function));
in
{
  # evaluate: the configuration of a project, with who it is and where forced
  # upon it.
  #
  #   makeHostenv  hostenv's function for one platform, in either of its forms:
  #                `{ organisation, project, root, modules, ... }:` or
  #                `modules: environmentName:`
  #   file         the project's hostenv.nix
  #   identity     { organisation; project; root; hostenvHostname; }
  #   revision     of the project, null where there is none
  evaluate = { makeHostenv, file, identity, revision }:
    let
      modules = [
        file
        { hostenv = builtins.mapAttrs (_: force) identity; }
      ];
      takes = argumentsOf makeHostenv;
      given = identity // { inherit modules; buildReference = revision; };
      result =
        if takes == { } then makeHostenv modules null
        else makeHostenv (builtins.intersectAttrs takes given);
    in
    result.config or result;
}
