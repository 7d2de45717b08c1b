# One customer's project: its source and its environments.
#
#   name             the input's name
#   lock             the provider's parsed flake.lock
#   root             the folder of the provider's flake.nix
#   system           the platform whose outputs are read
#   hostenvHostname  the provider's
#   overrides        inputs of the project's flake that the provider replaces
#   callFlake        what evaluates a flake from a locked source
#
# Returns { source; defaultEnvironment; environments; }, JSON-safe. Every error names
# the project.
#
# The environments are those that the project's flake exports when it is evaluated
# with the inputs of its packages, so that both have the arguments that its flake.nix
# gives to hostenv.
let
  names = import ./names.nix;
  locks = import ./lock.nix;
  fail = import ./fail.nix;
  json = import ./json.nix;
  identity = import ./identity.nix;
  inherit (import ./hostenv.nix) perEnvironment;
in
{ name, lock, root, system, hostenvHostname, overrides, callFlake }:
let
  subject = "project ${name}";
  inherit (names.parse name) organisation project;

  source = locks.sourceOf lock name;
  dir = locks.dirOf source;
  file = if dir == "" then "flake.nix" else "${dir}/flake.nix";

  call = overrides: callFlake {
    inherit subject overrides;
    source = locks.lockedOf root lock name;
    again =
      if locks.isRelative source.original then "plan again"
      else "run `nix flake update ${name}`, and plan again";
  };

  # A project with its own hostenv evaluates its environments with that one.
  hostenv = overrides.hostenv or (call overrides).inputs.hostenv or null;
  flake = call (if hostenv ? makeHostenv then overrides // { hostenv = perEnvironment hostenv; } else overrides);

  exported = flake.lib.hostenv.${system} or flake.hostenv.${system} or (fail {
    inherit subject;
    problem = "it exports neither lib.hostenv.${system} nor hostenv.${system}";
    hint = "import hostenv's flake module in the project's ${file}, or add dir to the input's url if its flake is in another folder, as in ?dir=.hostenv";
  });

  tree = "${flake.sourceInfo}";
  data = json { inherit subject; root = builtins.unsafeDiscardStringContext tree; };

  environments =
    let value = exported.environments or null; in
    if builtins.isAttrs value then data [ "environments" ] value
    else
      fail {
        inherit subject;
        problem = "environments is ${if value == null then "missing" else "a " + builtins.typeOf value} and not a set of environments";
        hint = "declare environments.<name> in the project's hostenv.nix";
      };

  defaultEnvironment =
    let value = exported.defaultEnvironment or "main"; in
    if builtins.isString value then builtins.unsafeDiscardStringContext value
    else
      fail {
        inherit subject;
        problem = "defaultEnvironment is a ${builtins.typeOf value} and not a name";
        hint = "set defaultEnvironment to the name of one of the project's environments";
      };
in
builtins.mapAttrs (_: builtins.addErrorContext "while evaluating ${subject}") {
  inherit source defaultEnvironment;
  environments = identity.check
    {
      inherit subject organisation project hostenvHostname file;
      text = builtins.readFile "${tree}/${file}";
    }
    environments;
}
