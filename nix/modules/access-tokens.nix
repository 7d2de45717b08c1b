# Tokens with which Nix reads private repositories. nix.conf includes them from a file
# that only root can read: they are not in the store, and customers cannot read them.
{ config, lib, options, ... }:
let
  inherit (lib) mkIf types;
  inherit (import ../lib/option.nix { inherit lib; }) nullable;
  file = config.hostenv.secrets;
  sops = import ./sops-secret.nix { inherit lib; };
  cfg = config.hostenv.accessTokens;
  present = cfg.secret != null && file.file != null && options ? sops;

  complaint = (import ../lib/secrets.nix).complaint {
    needs = "${config.hostenv.nodeName} has access tokens (provider.accessTokensSecret)";
    for = "provider.accessTokensSecret";
    all = lib.optional (cfg.secret != null) cfg.secret;
    missing = lib.optional (cfg.secret != null && ! lib.elem cfg.secret file.keys) cfg.secret;
    inherit file;
    inherit (file) known;
    hasSops = options ? sops;
  };
in
{
  options.hostenv.accessTokens.secret = nullable (types.strMatching "[^/]+(/[^/]+)?") "access_tokens" ''
    The key in the sops file that holds the node's access tokens, `github.com=ghp_... gitlab.example=PAT:...`, on one
    line, with or without `access-tokens =` before them. `provider.accessTokensSecret` sets it.
  '';

  config = {
    assertions = [{ assertion = complaint == null; message = toString complaint; }];
    # Nix ignores an !include of a file that is missing or unreadable for the user.
    nix.extraOptions = mkIf present "!include ${config.sops.templates.hostenv-access-tokens.path}";
  } // lib.optionalAttrs (options ? sops) {
    sops = mkIf present {
      secrets.access_tokens = sops.secret { inherit (file) file; key = cfg.secret; };
      # The option's name is here and not in the secret: Nix does not start with an
      # unknown line in nix.conf, and ignores words that are no tokens.
      templates.hostenv-access-tokens = {
        content = "extra-access-tokens = ${config.sops.placeholder.access_tokens}";
        # The daemon reads nix.conf when it starts.
        restartUnits = [ "nix-daemon.service" ];
      } // sops.access "root";
    };
  };
}
