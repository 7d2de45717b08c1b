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

  zones = mkOption {
    type = types.attrsOf (types.submodule {
      options.apiTokenSecret = nullable types.singleLineStr "acme/cloudflare_token" ''
        The key in the sops file `provider.secretsPath` that holds a token of Cloudflare's API that edits the zone. The
        nodes get it that have a virtual host of the zone with a wildcard.
      '';
    });
    default = { };
    example = { "acme.example".apiTokenSecret = "acme/cloudflare_token"; };
    description = ''
      Zones of customers at Cloudflare, by domain. A virtual host with a wildcard among its names gets a certificate
      by DNS-01, if all its names are at or below such a domain, and the domain is its organisation's
      ([dnsgate-cloudflare.md](dnsgate-cloudflare.md#wildcards-of-customers)). It needs no `enable`.
    '';
  };
}
