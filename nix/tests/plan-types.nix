# Each plan of hostenv/deploy/testdata/refused.json, which also tests hostenv/plan and
# hostenv/deploy.
let
  inherit (builtins) concatStringsSep deepSeq elemAt fromJSON genList head length listToAttrs readFile replaceStrings tail;
  table = fromJSON (readFile ../../hostenv/deploy/testdata/refused.json);
  typed = import ../lib/plan-types.nix "generated/plan.json";

  set = at: value: plan:
    if at == [ ] then value
    else plan // { ${head at} = set (tail at) value (plan.${head at} or { }); };
  literally = replaceStrings [ "\\" "." "[" "]" "(" ")" ] [ "\\\\" "[.]" "[[]" "[]]" "[(]" "[)]" ];
  refused = i:
    let case = elemAt table.refused i; in
    {
      name = "${toString i} ${concatStringsSep "." case.at}";
      value = {
        expr = deepSeq (typed (set case.at case.value table.plan)) null;
        error = "generated/plan.json: ${literally case.error}.*hint: run `mage plan`";
      };
    };

  plan = table.plan // { future = 1; };
  environment = change: (typed (plan // { environments.shop-main = plan.environments.shop-main // change; })).environments.shop-main;
in
listToAttrs (genList refused (length table.refused)) // {
  well = { expr = typed plan; expected = plan; };
  unknown = { expr = (environment { future = [ 1 ]; }).future; expected = [ 1 ]; };
  null = { expr = (environment { enable = null; }).enable; expected = null; };
  lazy = { expr = (typed (plan // { environments = plan.environments // { b = 7; }; })).environments.shop-main.uid; expected = 40000; };
  several = {
    expr = (typed (plan // { profiles.shop-main = { profileLink = 1; }; })).profiles.shop-main;
    error = "profiles.shop-main.profileLink: expected a plain absolute path, got 1; profiles.shop-main.tempPath: expected a plain absolute path, got nothing";
  };
  source-unlocked = { expr = environment { source = { type = "git"; }; }; error = "environments.shop-main.source.narHash: expected a string, got nothing"; };
}
