{ mkOption, types, ... }:
mkOption {
  type = types.attrsOf types.str;
  default = { };
  example = { "acme.example" = "acme"; };
  description = ''
    The organisations of domains. A domain and all names below it belong to one
    organisation: `mage plan` refuses a new name of another organisation, and
    `mage dnsGate -update` writes into a zone only for the organisation whose
    domain it is. An entry is above a TXT record, see
    `provider.requireDomainProof`. It may also name a part of a domain.
  '';
}
