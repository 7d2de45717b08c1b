# All values that two evaluations of a flake must have in common, as complete JSON:
# toJSON alone turns a set with an outPath into a string. It leaves out `_type`,
# which Nix 2.8 does not set.
let
  describe =
    depth: value:
    if builtins.isFunction value then
      "a function"
    else if builtins.isList value then
      map (describe depth) value
    else if !builtins.isAttrs value then
      value
    else if value.type or null == "derivation" then
      value.drvPath
    else if depth == 0 then
      "too deep"
    else
      builtins.listToAttrs (
        map (name: {
          name = if name == "outPath" then "the outPath" else name;
          value = describe (depth - 1) value.${name};
        }) (builtins.attrNames (removeAttrs value [ "_type" ]))
      );
in
describe 6
