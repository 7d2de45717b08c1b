# Tests each rule for names with the table of the same name, which also tests
# hostenv/names. Names that Nix does not check have no rule.
let
  is = import ../lib/is.nix;
  folder = ../../hostenv/names/testdata;
  inherit (builtins) attrNames attrValues elemAt filter fromJSON mapAttrs readFile;

  tested = kind: accepts:
    let
      table = fromJSON (readFile (folder + "/${kind}.json"));
      wrong = wanted: examples: filter (reason: accepts examples.${reason} != wanted) (attrNames examples);
      of = wanted: pick: examples: wrong wanted (mapAttrs (_: pick) examples);
      at = i: pair: elemAt pair i;
    in
    {
      expr = {
        accepted = wrong true table.accepted ++ of true (at 1) (table.spelled or { }) ++ of true (at 1) (table.goSpelled or { });
        refused = wrong false table.refused ++ of false (at 0) (table.spelled or { });
        # The names that Nix cannot check. A name that it can check belongs to the others.
        goOnly = wrong true (table.goOnly or { }) ++ of true (at 0) (table.goSpelled or { });
        others = map accepts [ null 1 [ ] { } ./is.nix ];
      };
      expected = { accepted = [ ]; refused = [ ]; goOnly = [ ]; others = [ false false false false false ]; };
    };
in
mapAttrs tested is // {
  # On a text this long, a regular expression makes Nix fail with a stack overflow.
  long = {
    expr = let text = builtins.concatStringsSep "" (builtins.genList (_: "aaaaaaaaaa") 100000); in map (accepts: accepts text) (attrValues is);
    expected = map (_: false) (attrValues is);
  };
  longest = { expr = is.plainPath (builtins.concatStringsSep "" (builtins.genList (_: "/a") 2047)); expected = true; };
}
