{
  defaultEnvironment = "production";
  users.dora = {
    email = "dora@beta.example";
    publicKeys = [
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGvfPycoNabBjuvjAdaO8/qdOXaZUN6YvxtDOU7m5UHp dora@beta.example"
    ];
  };

  environments.production = {
    type = "production";
    primary = "portal.beta.example";
    virtualHosts = {
      # Must not be found by search engines, though it is production.
      "portal.beta.example".allowIndexing = false;
      "old-portal.beta.example".globalRedirect = "portal.beta.example";
    };
  };

  # Follows a branch that is not called like the environment.
  environments.uat = {
    type = "testing";
    gitRef = "release";
    primary = "uat.portal.beta.example";
    virtualHosts."uat.portal.beta.example".locations."/ping".return = 204;
  };
}
