{ types, required, ... }:
{
  acceptTerms = required types.bool true ''
    Whether the provider accepts Let's Encrypt's terms of service. Let's Encrypt
    issues no certificate otherwise, and `mage plan` refuses to make a plan.
  '';
  adminEmail = required types.str "ops@hosting.example" "The mail address of the account at Let's Encrypt.";
}
