{ mkOption, types, nullable, ... }:
mkOption {
  type = types.submodule {
    freeformType = types.attrsOf types.anything;
    options = {
      enable = mkOption {
        type = types.bool;
        default = false;
        description = "Whether `mage dnsGate -update` may write records at Cloudflare.";
      };

      zoneId = nullable types.str "023e105f4ecef8ad9ca31a8372d0c353"
        "The only zone to write to; `null` for all that the token can see.";

      apiTokenSecret = nullable types.str "cloudflare/api_token" ''
        The key in the sops file `provider.secretsPath` that holds the API token.
        `CF_API_TOKEN` in the environment of `mage dnsGate` takes precedence.
      '';
    };
  };
  default = { };
  example = { enable = true; apiTokenSecret = "cloudflare/api_token"; };
  description = "DNS records at Cloudflare, for host names that do not lead to their node yet.";
}
