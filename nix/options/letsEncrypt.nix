{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.provider.letsEncrypt = {
    acceptTerms = mkOption {
      type = types.bool;
      example = true;
      description = ''
        Whether the provider accepts Let's Encrypt's terms of service. Without,
        no certificate is issued, and a plan is refused.
      '';
    };

    adminEmail = mkOption {
      type = types.str;
      example = "ops@hosting.example";
      description = "Where Let's Encrypt writes to when a certificate is about to expire.";
    };
  };
}
