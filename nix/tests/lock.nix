let
  locks = import ../lib/lock.nix;

  git = url: { type = "git"; inherit url; };
  node = original: { inherit original; locked = original // { rev = "0000000000000000000000000000000000000000"; narHash = "sha256-x"; lastModified = 1; revCount = 7; }; };

  # The provider's input acme__site is the lock's node acme__site_2, because an input of
  # another flake has the name acme__site.
  lock = {
    version = 7;
    root = "top";
    nodes = {
      top.inputs = {
        acme__site = "acme__site_2";
        acme__mirror = [ "group" "acme__site" ];
        acme__again = [ "acme__mirror" ];
        acme__near = [ "group" "near" ];
        beta__near = "near";
        acme__gone = [ "group" "nothing" ];
        acme__lost = "lost";
        beta__portal = "beta__portal";
        beta__shop = "beta__shop";
        beta__plain = "beta__plain";
        group = "group";
      };
      group = node (git "https://git.example/group") // { inputs = { acme__site = "acme__site"; near = "near"; }; };
      near = node { type = "path"; path = "./near"; };
      acme__site = node (git "https://git.example/groups-site");
      acme__site_2 = node (git "https://git.example/own-site" // { ref = "main"; dir = ".hostenv"; });
      beta__portal = {
        original = { type = "indirect"; id = "portal"; };
        locked = { type = "git"; url = "https://git.example/portal?dir=sub"; ref = "main"; dir = "sub"; rev = "1"; shortRev = "1"; dirtyRev = "1"; dirtyShortRev = "1"; narHash = "sha256-x"; lastModified = 1; lastModifiedDate = "1"; revCount = 7; };
      };
      beta__shop = node (git "https://git.example/shop?allow=1&dir=.hostenv&deep=2" // { dir = ".hostenv"; });
      beta__plain = node (git "https://git.example/plain?dir=x");
      lost = { };
    };
  };
  original = name: (locks.sourceOf lock name).original;
in
{
  renamed-node = {
    expr = locks.sourceOf lock "acme__site";
    expected = { original = { type = "git"; url = "https://git.example/own-site"; ref = "main"; dir = ".hostenv"; }; };
  };
  follows = { expr = (original "acme__mirror").url; expected = "https://git.example/groups-site"; };
  follows-a-follows = { expr = (original "acme__again").url; expected = "https://git.example/groups-site"; };
  follows-nothing = { expr = original "acme__gone"; error = "flake.lock: node group has no input nothing.*hint: run `nix flake lock`"; };
  follows-a-folder = { expr = original "acme__near"; error = "project acme__near: it follows an input that is the path ./near in another flake.*hint: let the input name a repository"; };
  folder = { expr = original "beta__near"; expected = { type = "path"; path = "./near"; }; };
  missing-input = { expr = original "acme__new"; error = "project acme__new: flake.lock has no such input.*hint: run `nix flake lock` in the provider's folder"; };
  node-without-original = { expr = original "acme__lost"; error = "project acme__lost: flake.lock does not say where it comes from"; };
  indirect = {
    expr = locks.sourceOf lock "beta__portal";
    expected = {
      original = { type = "indirect"; id = "portal"; };
      resolved = { type = "git"; url = "https://git.example/portal"; ref = "main"; dir = "sub"; };
    };
  };
  dir-twice = { expr = (original "beta__shop").url; expected = "https://git.example/shop?allow=1&deep=2"; };
  dir-of-the-address = { expr = (original "beta__plain").url; expected = "https://git.example/plain?dir=x"; };
  dirs = { expr = map (name: locks.dirOf (locks.sourceOf lock name)) [ "acme__site" "acme__mirror" "beta__portal" ]; expected = [ ".hostenv" "" "sub" ]; };

  versions = { expr = map (version: (locks.check { inherit version; }).version) [ 5 6 7 ]; expected = [ 5 6 7 ]; };
  old-version = { expr = locks.check { version = 4; }; error = "flake.lock: its version is 4, and only 5, 6 and 7 are known"; };
  new-version = { expr = locks.check { version = 8; }; error = "its version is 8"; };
  no-version = { expr = locks.check { }; error = "its version is null"; };
  no-lock = { expr = locks.read (./. + "/no-such-flake.lock"); error = "flake.lock: the provider's flake has none.*hint: run `nix flake lock`"; };
}
