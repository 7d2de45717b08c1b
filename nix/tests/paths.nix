# The paths on a node that nix/lib/paths.nix and hostenv/deploy both define, for the
# environment site-main. One table tests both.
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
