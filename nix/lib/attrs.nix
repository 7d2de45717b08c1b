# Sets, and definitions of options, without nixpkgs.
let
  inherit (builtins) attrNames filter listToAttrs;
in
{
  # select (value: value > 1) { a = 1; b = 2; } is { b = 2; }.
  select = keep: set: removeAttrs set (filter (name: ! keep set.${name}) (attrNames set));

  # only [ "a" "c" ] { a = 1; b = 2; } is { a = 1; }.
  only = names: set: listToAttrs (map (name: { inherit name; value = set.${name}; }) (filter (name: set ? ${name}) names));

  # default content: a definition that any other overrides, as nixpkgs' mkDefault
  # makes it.
  default = content: { _type = "override"; priority = 1000; inherit content; };
}
