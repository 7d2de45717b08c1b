{ lib, ... }:
let
  nullable = (import ../lib/option.nix { inherit lib; }).nullable lib.types.singleLineStr;
in
{
  options.provider.cache = {
    url = nullable "https://cache.hosting.example" ''
      A binary cache that the nodes ask before all others; cache.nixos.org stays.
    '';
    publicKey = nullable "cache.hosting.example-1:WLnA8b5JGgQp0TpWdHmEvx3WhzZ2gQ0kS5ZcbQ3xF1E=" ''
      The key by which the cache signs. The nodes trust it beside those that they
      trust without.
    '';
    login = nullable "nodes" ''
      The name that the password is for, if the cache wants one.
    '';
    passwordSecret = nullable "cache/password" ''
      The key in the sops file `provider.secretsPath` that holds the password, or
      the token, by which the nodes log in to the cache.
    '';
    netrcSecret = nullable "cache/netrc" ''
      The key in the sops file that holds a whole netrc file, in place of
      `passwordSecret` and `login`.
    '';
  };
}
