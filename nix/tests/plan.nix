let
  read = name: import ../lib/plan.nix { generatedPath = ./fixtures/plans + "/${name}/generated"; };
  document = name: (read name).document;
in
{
  well = { expr = builtins.attrNames (document "well").nodes; expected = [ "node-a" "node-b" "node-c" ]; };
  # The first `mage plan` overwrites a plan of the legacy generator.
  ours = { expr = map (name: (read name).ours) [ "none" "well" "older" "future" ]; expected = [ false true false false ]; };
  older = { expr = document "older"; error = "generated/plan.json: its formatVersion is missing, and only 1 is known.*hint: run `mage plan`"; };
  name = { expr = (read "none").name; expected = "generated/plan.json"; };
  missing = { expr = document "none"; error = "generated/plan.json: it does not exist, or git does not know it.*hint: run `mage plan`, then `git add generated/plan.json`"; };
  truncated = { expr = document "truncated"; error = "generated/plan.json: it is not a whole JSON object.*hint: restore it [(]git checkout HEAD -- generated/plan.json[)], and run `mage plan`"; };
  empty = { expr = document "empty"; error = "generated/plan.json: it is not a whole JSON object.*hint: restore it"; };
  merged = { expr = document "merged"; error = "generated/plan.json: a git conflict marker [(]<<<<<<<[)] is in it.*hint: restore it"; };
  future = { expr = document "future"; error = "generated/plan.json: its formatVersion is 2, and only 1 is known.*hint: run `mage plan`"; };
  bare = { expr = document "bare"; error = "generated/plan.json: environments is missing.*hint: run `mage plan`"; };
  misnamed = {
    expr = document "misnamed";
    error = [
      "generated/plan.json: environments.\"shop-main-4f7240c\".hostenv.userName is \"site-main-b7ea262\"; environments.\"site-test-0000000\".hostenv.userName is missing: it must equal"
      "hint: run `mage plan`"
    ];
    errorNot = "environments.\"site-main-b7ea262\"";
  };
}
