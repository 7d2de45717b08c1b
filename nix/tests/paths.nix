# The paths on a node that nix/lib/paths.nix and hostenv/deploy both have, of the
# environment site-main: one table is tested with both.
let
  inherit (import ../lib/paths.nix) frontDoor frontDoorStarted profile systemLogs systemProfile temp userLogs;
  user = "site-main";
in
{
  shared = {
    expr = {
      inherit frontDoor frontDoorStarted systemLogs systemProfile temp userLogs;
      profile = profile user;
    };
    expected = builtins.fromJSON (builtins.readFile ../../hostenv/deploy/testdata/paths.json);
  };
}
