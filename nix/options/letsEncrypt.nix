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
        Whether the provider accepts Let's Encrypt's terms of service. Let's Encrypt
        issues no certificate otherwise, and `mage plan` refuses to make a plan.
      '';
    };

    adminEmail = mkOption {
      type = types.str;
      example = "ops@hosting.example";
      description = "The mail address of the account at Let's Encrypt.";
    };
  };
}
