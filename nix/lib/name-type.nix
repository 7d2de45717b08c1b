# The type of an option that takes a name of ./is.nix:
#
#   type = (import ../lib/name-type.nix lib).user;
lib:
let
  of = kind: description: lib.types.addCheck lib.types.str (import ./is.nix).${kind} // { inherit description; };
in
{
  user = of "user" "name of a user: a-z, 0-9, - and _, at most 31, with a letter or digit first";
  plainPath = of "plainPath" "absolute path of letters, digits and . _ -";
}
