{ types, required, nullable, ... }:
{
  acceptTerms = required types.bool true ''
    Whether the provider accepts Let's Encrypt's terms of service. Let's Encrypt
    issues no certificate otherwise, and `mage plan` refuses to make a plan.
  '';
  adminEmail = required types.str "ops@hosting.example" "The mail address of the account at Let's Encrypt.";
  profile = nullable (types.enum [ "classic" "tlsserver" "shortlived" ]) "tlsserver" ''
    The [certificate profile](https://letsencrypt.org/docs/profiles/) that nodes order by: how long a certificate is
    valid, and how many names it can have (100, or 25 with `tlsserver` and `shortlived`, beyond which the DNS gate turns
    it off). Without it, orders name none, and Let's Encrypt takes `classic`. It needs lego 4.22 or newer, as in NixOS
    25.05. A change orders every certificate once more.
  '';
}
