let
  strings = import ../lib/strings.nix;
in
{
  prefix = { expr = map (strings.hasPrefix "ab") [ "abc" "ab" "a" "" "cab" ]; expected = [ true true false false false ]; };
  suffix = { expr = map (strings.hasSuffix "bc") [ "abc" "bc" "c" "" "bca" ]; expected = [ true true false false false ]; };
  drop = { expr = [ (strings.dropPrefix "ab" "abc") (strings.dropSuffix "bc" "abc") (strings.dropSuffix "a" "a") ]; expected = [ "c" "a" "" ]; };
  contains = { expr = map (strings.contains "__") [ "a__b" "a_b" "__" "" ]; expected = [ true false true false ]; };
  split = { expr = strings.splitOn "," "a,,b,"; expected = [ "a" "" "b" "" ]; };
  drop-up-to = { expr = map (strings.dropUpTo "b") [ "abc" "abcb" "b" "a" "" ]; expected = [ "c" "cb" "" null null ]; };
  lower-is-ascii = { expr = strings.lower "AbÄZ9-"; expected = "abÄz9-"; };

  # On a text this long, a regular expression makes Nix fail with a stack overflow.
  long-texts = {
    expr =
      let long = builtins.concatStringsSep "" (builtins.genList (_: "0123456789") 100000); in
      [ (strings.contains "x" long) (strings.hasPrefix "01" long) ];
    expected = [ false true ];
  };
}
