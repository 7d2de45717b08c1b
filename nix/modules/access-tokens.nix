# Tokens by which Nix reads private repositories, from the sops file into nix.conf
# by way of a file that root alone can read: neither the store nor a customer has
# them.
{ config, lib, options, ... }:
let
  inherit (lib) mkIf mkOption types;
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
  options.hostenv.accessTokens.secret = mkOption {
    type = types.nullOr (types.strMatching "[^/]+(/[^/]+)?");
    default = null;
    example = "access_tokens";
    description = ''
      The key in the sops file that holds the node's access tokens, `github.com=ghp_... gitlab.example=PAT:...`, on one
      line, with or without `access-tokens =` before them. `provider.accessTokensSecret` sets it.
    '';
  };

  config = {
    assertions = [{ assertion = complaint == null; message = toString complaint; }];
    # A file that is not there, or that a user cannot read, Nix passes over.
    nix.extraOptions = mkIf present "!include ${config.sops.templates.hostenv-access-tokens.path}";
  } // lib.optionalAttrs (options ? sops) {
    sops = mkIf present {
      secrets.access_tokens = sops.secret { inherit (file) file; key = cfg.secret; };
      # The line begins here: Nix refuses to start where nix.conf has a line that
      # it does not know, and passes over words among tokens that are none.
      templates.hostenv-access-tokens = {
        content = "extra-access-tokens = ${config.sops.placeholder.access_tokens}";
        # The daemon reads nix.conf when it starts.
        restartUnits = [ "nix-daemon.service" ];
      } // sops.access "root";
    };
  };
}
