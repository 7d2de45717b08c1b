let
  alice = {
    email = "alice@acme.example";
    publicKeys = [
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINEAyBPwmBOgCw7egLXjJCNKmIHaVEouaQywqtLFeof3 alice@laptop"
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJDRfrZnguE6P2aBnSA1ArFaOgVa6kFKhRoPNaoayEYY alice@desktop"
    ];
  };
  bob = {
    email = "bob@acme.example";
    publicKeys = [
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILO4rrDW/an+EfBqSAESDxPNXQu24RtpjqG2D+mcf9IM bob@acme.example"
    ];
  };
in
{
  defaultEnvironment = "main";
  users = { inherit alice; };

  environments.main = {
    type = "production";
    users = { inherit alice bob; };
    primary = "www.acme.example";
    virtualHosts = {
      "www.acme.example".locations."/old-shop".return = "301 /shop";
      "acme.example" = { globalRedirect = "www.acme.example"; redirectCode = 308; };
    };
  };

  environments.staging = {
    type = "testing";
    primary = "staging.acme.example";
    virtualHosts."staging.acme.example" = { };
  };

  # Has no name of its own beside the one that hostenv gives it.
  environments."feature/search" = { };
}
