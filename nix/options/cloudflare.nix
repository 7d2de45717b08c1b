{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.provider.cloudflare = mkOption {
    type = types.submodule {
      freeformType = types.attrsOf types.anything;
      options = {
        enable = mkOption {
          type = types.bool;
          default = false;
          description = "Whether `mage dnsGate -update` may write records at Cloudflare.";
        };

        zoneId = mkOption {
          type = types.nullOr types.str;
          default = null;
          example = "023e105f4ecef8ad9ca31a8372d0c353";
          description = "The only zone to write to; `null` for all that the token can see.";
        };

        apiTokenSecret = mkOption {
          type = types.nullOr types.str;
          default = null;
          example = "cloudflare/api_token";
          description = ''
            The key in the sops file `provider.secretsPath` that holds the API
            token. `CF_API_TOKEN` in the environment of `mage dnsGate` comes first.
          '';
        };
      };
    };
    default = { };
    example = { enable = true; apiTokenSecret = "cloudflare/api_token"; };
    description = "DNS records at Cloudflare, for host names that do not lead to their node yet.";
  };
}
