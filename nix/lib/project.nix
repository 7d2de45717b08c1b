# One customer's project: where it comes from, and its environments.
#
#   name             the input's name
#   input            the input itself
#   lock             the provider's parsed flake.lock
#   system           the platform whose outputs are read
#   hostenvHostname  the provider's
#   makeHostenv      the provider's hostenv for that system, or null
#
# Gives { source; defaultEnvironment; environments; }, JSON-safe. Every error
# names the project.
let
  inherit (import ./strings.nix) dropSuffix hasSuffix;
  names = import ./names.nix;
  locks = import ./lock.nix;
  fail = import ./fail.nix;
  json = import ./json.nix;
  identity = import ./identity.nix;

  # treeOf input source: the store path of the root of the project's tree. The
  # input's own outPath is the flake's folder in newer versions of Nix and the
  # root in older ones; sourceInfo is the root, but that of the provider's tree
  # where the input is a relative path.
  treeOf = input: source:
    let
      dir = locks.dirOf source;
      # A relative path is kept as it was written, "./" included.
      folder = builtins.replaceStrings [ "/./" ] [ "/" ] "${input}";
    in
    if ! locks.isRelative source.original then "${input.sourceInfo or input}"
    else if dir != "" && hasSuffix "/${dir}" folder then dropSuffix "/${dir}" folder
    else folder;
in
{ name, input, lock, system, hostenvHostname, makeHostenv }:
let
  subject = "project ${name}";
  inherit (names.parse name) organisation project;

  source = locks.sourceOf lock name;
  root = treeOf input source;
  dir = locks.dirOf source;
  folder = if dir == "" then root else "${root}/${dir}";
  file = "${folder}/hostenv.nix";

  isEvaluated = makeHostenv != null && builtins.pathExists file;

  evaluated = (import ./hostenv.nix).evaluate {
    inherit makeHostenv file;
    identity = { inherit organisation project root hostenvHostname; };
    revision = input.rev or null;
  };

  exported = input.lib.hostenv.${system} or input.hostenv.${system} or (fail {
    inherit subject;
    problem = "it exports neither lib.hostenv.${system} nor hostenv.${system}"
      + (if makeHostenv == null then "" else ", and has no ${if dir == "" then "" else dir + "/"}hostenv.nix");
    hint = "import hostenv's flake module in the project's flake.nix, or add dir to the input's url if its flake is not in the root, as in ?dir=.hostenv";
  });

  result = if isEvaluated then evaluated else exported;

  data = json { inherit subject; root = builtins.unsafeDiscardStringContext root; };

  environments =
    let value = result.environments or null; in
    if builtins.isAttrs value then data [ "environments" ] value
    else
      fail {
        inherit subject;
        problem = "environments is ${if value == null then "missing" else "a " + builtins.typeOf value} and not a set of environments";
        hint = "declare environments.<name> in the project's hostenv.nix";
      };

  defaultEnvironment =
    let value = result.defaultEnvironment or "main"; in
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
    { inherit subject organisation project hostenvHostname isEvaluated; }
    environments;
}
