{ mkOption, types, ... }:
mkOption {
  type = types.bool;
  default = false;
  example = true;
  description = ''
    Whether a new host name needs a proof that its domain is the organisation's:
    an entry of `provider.domains`, or the TXT record that `mage domains` prints.
    Names below domains that the DNS never has (`example`, `invalid`, `localhost`,
    `test`) need none. Names that the state has already stay with their environment. DNS alone proves
    nothing, because the names of all customers lead to the same nodes. The
    template sets it.
  '';
}
