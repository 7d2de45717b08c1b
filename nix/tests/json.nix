let
  json = import ../lib/json.nix;
  root = "${builtins.storeDir}/00000000000000000000000000000000-source";
  other = "${builtins.storeDir}/11111111111111111111111111111111-hello";
  data = json { subject = "project acme__site"; inherit root; } [ "environments" "main" ];
  provider = json { subject = "provider"; root = null; } [ ];
  file = builtins.toFile "some-file" "text";
in
{
  plain-values = {
    expr = data { a = null; b = [ true 1 "x" [ ] { } ]; c.d = 1.5; _module.args = x: x; };
    expected = { a = null; b = [ true 1 "x" [ ] { } ]; c.d = 1.5; };
  };
  root = { expr = map data [ root "${root}/" ]; expected = [ "." "." ]; };
  below-root = { expr = map data [ "${root}/.hostenv" "${root}/a/b.nix" ]; expected = [ ".hostenv" "a/b.nix" ]; };
  path-below-root = { expr = data (/. + root + "/web"); expected = "web"; };
  path-of-a-relocated-store = { expr = map data [ (/srv/relocated + root + "/web") "/srv/relocated${root}" ]; expected = [ "web" "." ]; };
  longer-name = { expr = data "${root}-2/x"; error = "project acme__site: environments.main is the store path [^ ]*-source-2/x"; };
  input-as-a-value = { expr = data { src = { outPath = "${root}/x"; rev = "1"; }; }; expected = { src = "x"; }; };
  to-string = { expr = data { value = { __toString = self: "x${self.y}"; y = "y"; }; }; expected = { value = "xy"; }; };
  names-of-the-store = { expr = data "mounted below ${builtins.storeDir}/"; expected = "mounted below ${builtins.storeDir}/"; };
  type-of-an-environment = { expr = data { type = "production"; }; expected = { type = "production"; }; };

  other-store-path = {
    expr = data { virtualHosts."www.acme.example".locations = [ other ]; };
    error = "project acme__site: environments.main.virtualHosts.\"www.acme.example\".locations.0 is the store path [^ ]*hello\n.*hint: only paths in the project's own source";
  };
  string-context = { expr = data { a = "cat ${file}"; }; error = "project acme__site: environments.main.a is the store path cat [^ ]*-some-file"; };
  root-and-another = { expr = data { a = "${root}/x:${file}"; }; error = "environments.main.a is the store path"; };
  path-elsewhere = { expr = data { a = /srv/www; }; error = "environments.main.a is a path literal \\(/srv/www\\)\n.*hint: write it as a string"; };
  function = { expr = data { a.b = x: x; }; error = "environments.main.a.b is a function"; };
  # Every reserved name of ../../hostenv/names, but for those above that become a string.
  reserved =
    let
      table = builtins.fromJSON (builtins.readFile ../../hostenv/names/testdata/reserved.json);
      refused = builtins.filter (name: ! builtins.elem name [ "_module" "__functor" "__toString" "outPath" ]) (builtins.attrValues table.reserved);
      tried = name: (builtins.tryEval (builtins.toJSON (data { a = [{ ${name} = 1; }]; }))).success;
    in
    { expr = builtins.filter tried refused ++ builtins.filter (name: ! tried name) (builtins.attrValues table.free); expected = [ ]; };
  reserved-override = {
    expr = data { a = [{ _type = "override"; priority = 10; content = 1; }]; };
    error = "environments.main.a.0._type is refused: Nix or NixOS's module system interprets an attribute of this name.*hint: remove it";
  };
  functor = { expr = data { a.b.__functor = _: x: x; }; error = "environments.main.a.b is a function"; };
  derivation = {
    expr = data { package = derivation { name = "hello"; system = "x86_64-linux"; builder = "/bin/sh"; }; };
    error = "environments.main.package is a derivation \\(hello\\)";
  };

  provider-store-path = { expr = provider { nodes.a.key = file; }; error = "provider: nodes.a.key is the store path [^ ]*some-file\n.*hint: a plan must not hold store paths"; };
  provider-path = { expr = provider { nixSigning.secretKeyFile = /etc/nix/key; }; error = "provider: nixSigning.secretKeyFile is a path literal .*hint: write it as a string, in quotes"; };
}
