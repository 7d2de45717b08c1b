let
  secrets = import ../lib/secrets.nix;
  environment = { userName = "site-main-b7ea262"; organisation = "acme"; project = "site"; environmentName = "main"; };
  resolve = keys: secrets.resolve keys environment "backups_env";
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
}
