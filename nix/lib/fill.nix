# fill file values: the text of a shell program, in which each placeholder @name@
# has the value of that name. A placeholder without a value, or a value without a
# placeholder, is an error: the first would run as `@name@` on a node, the second
# would have no effect.
#
# A value is inserted unchanged. Quote one that a provider or a customer chooses, by
# strings.nix's `quote`.
file: values:
let
  inherit (builtins) attrNames concatStringsSep elem filter head isList split;

  # Texts, and between them [ name ] for each placeholder.
  parts = split "@([A-Za-z]+)@" (builtins.readFile file);
  names = map head (filter isList parts);

  missing = filter (name: ! values ? ${name}) names;
  unused = filter (name: ! elem name names) (attrNames values);
  refuse = problem: throw "${baseNameOf file}: ${problem}";
in
if missing != [ ] then refuse "no value for ${concatStringsSep ", " (map (name: "@${name}@") missing)}"
else if unused != [ ] then refuse "no placeholder for ${concatStringsSep ", " unused}"
else concatStringsSep "" (map (part: if isList part then values.${head part} else part) parts)
