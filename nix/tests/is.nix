# The tables of names that hostenv/names is tested with, each held against the
# rule of the same name. Names that Nix does not check have none.
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
        # Named where Nix could not tell: if it can now, they belong to the others.
        goOnly = wrong true (table.goOnly or { }) ++ of true (at 0) (table.goSpelled or { });
        others = map accepts [ null 1 [ ] { } ./is.nix ];
      };
      expected = { accepted = [ ]; refused = [ ]; goOnly = [ ]; others = [ false false false false false ]; };
    };
in
mapAttrs tested is // {
  # A regular expression over such a text ends Nix with a stack overflow.
  long = {
    expr = let text = builtins.concatStringsSep "" (builtins.genList (_: "aaaaaaaaaa") 100000); in map (accepts: accepts text) (attrValues is);
    expected = map (_: false) (attrValues is);
  };
  longest = { expr = is.plainPath (builtins.concatStringsSep "" (builtins.genList (_: "/a") 2047)); expected = true; };
}
