{ mkOption, types, nullable, ... }:
{
  enable = mkOption {
    type = types.bool;
    default = false;
    example = true;
    description = ''
      Whether each node orders one certificate for `*.<hostenvHostname>`, by a record in DNS (the challenge DNS-01), for
      the generated names of its environments ([dnsgate-cloudflare.md](dnsgate-cloudflare.md#one-certificate-for-generated-names)).
      Cloudflare must have the zone. Without it each environment orders a certificate of its own.
    '';
  };

  apiTokenSecret = nullable types.singleLineStr "cloudflare/acme_token" ''
    The key in the sops file `provider.secretsPath` that holds the token of Cloudflare's API, with which nodes write
    the record. Every node gets it: let the token edit the zone of `hostenvHostname` alone.
  '';
}
