let
  secrets = import ../lib/secrets.nix;
  environment = { userName = "site-main-b7ea262"; organisation = "acme"; project = "site"; environmentName = "main"; };
  resolve = keys: secrets.resolve keys environment "backups_env";
  complaint = secrets.complaint;
  needed = {
    needs = "environments on n1 make backups";
    named = "the environments a, b on n1 make backups";
    for = "the backups of environments on n1";
    all = [ "a: a/backups_env" "b: b/backups_env" "b: b/backups_secret" ];
    missing = [ "a: a/backups_env" "b: b/backups_secret" ];
    file = { file = "/s/secrets.yaml"; name = "secrets/secrets.yaml"; };
    known = true;
    hasSops = true;
  };
in
{
  places = { expr = secrets.places environment; expected = [ "site-main-b7ea262" "acme_site" "acme" ]; };
  environment-first = {
    expr = resolve [ "acme/backups_env" "acme_site/backups_env" "site-main-b7ea262/backups_env" ];
    expected = "site-main-b7ea262/backups_env";
  };
  then-project = { expr = resolve [ "acme/backups_env" "acme_site/backups_env" "site-main-b7ea262/backups_secret" ]; expected = "acme_site/backups_env"; };
  then-organisation = { expr = resolve [ "site-main-b7ea262" "acme_site" "acme/backups_env" ]; expected = "acme/backups_env"; };
  nowhere = { expr = resolve [ "acme" "acme/backups_secret" "beta/backups_env" "acme_shop/backups_env" "backups_env" ]; expected = null; };
  wanted = {
    expr = secrets.wanted environment "backups_env";
    expected = "site-main-b7ea262/backups_env or acme_site/backups_env or acme/backups_env";
  };

  # The message names all missing secrets, and only those.
  missing = {
    expr = complaint needed;
    expected = "secrets/secrets.yaml has no secrets for the backups of environments on n1: add (`sops secrets/secrets.yaml`) the keys\n- a: a/backups_env\n- b: b/backups_secret";
  };
  none-missing = { expr = complaint (needed // { missing = [ ]; }); expected = null; };
  none-needed = { expr = complaint (needed // { all = [ ]; missing = [ ]; hasSops = false; }); expected = null; };
  no-file = {
    expr = complaint (needed // { known = false; });
    expected = "provider.secretsPath is secrets/secrets.yaml, which does not exist, and environments on n1 make backups: write it (`sops secrets/secrets.yaml`, then `git add` it) with the keys\n- a: a/backups_env\n- b: b/backups_env\n- b: b/backups_secret";
  };
  no-path = {
    expr = complaint (needed // { file = { file = null; name = ""; }; });
    expected = "provider.secretsPath is not set, and environments on n1 make backups: set it to a sops file in YAML that has the keys\n- a: a/backups_env\n- b: b/backups_env\n- b: b/backups_secret";
  };
  json = {
    expr = builtins.substring 0 87 (complaint (needed // { file = { file = "/s/secrets.json"; name = "secrets.json"; }; }));
    expected = "provider.secretsPath is secrets.json: sops-nix finds no keys below other keys in JSON; ";
  };
  no-sops = {
    expr = builtins.substring 0 77 (complaint (needed // { hasSops = false; }));
    expected = "the environments a, b on n1 make backups, whose secrets need sops-nix, and th";
  };
}
