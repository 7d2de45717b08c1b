{ mkOption, types, defaults, ... }:
mkOption {
  type = types.nullOr types.singleLineStr;
  default = defaults.plain.accessTokensSecret;
  example = "access_tokens";
  description = ''
    The key in the sops file `provider.secretsPath` that holds the tokens with
    which Nix reads private repositories: `github.com=ghp_...
    gitlab.example=PAT:...`, on one line, as after `access-tokens =` in
    nix.conf.
    `mage plan`, `mage nodesBuild`, `mage deploy` and `mage status` give them
    to Nix, and the nodes have them in nix.conf. `null` for none: Nix then uses
    only those of its own configuration.
  '';
}
