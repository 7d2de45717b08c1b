{ types, nullable, ... }:
let
  text = nullable types.singleLineStr;
in
{
  url = text "https://cache.hosting.example" ''
    A binary cache that the nodes ask before all others; cache.nixos.org stays.
  '';
  publicKey = text "cache.hosting.example-1:WLnA8b5JGgQp0TpWdHmEvx3WhzZ2gQ0kS5ZcbQ3xF1E=" ''
    The public key of the cache's signatures. The nodes trust it in addition to
    their other keys.
  '';
  login = text "nodes" ''
    The user name that the password belongs to, if the cache needs one.
  '';
  passwordSecret = text "cache/password" ''
    The key in the sops file `provider.secretsPath` that holds the password, or
    the token, with which the nodes log in to the cache.
  '';
  netrcSecret = text "cache/netrc" ''
    The key in the sops file that holds a whole netrc file, in place of
    `passwordSecret` and `login`.
  '';
}
