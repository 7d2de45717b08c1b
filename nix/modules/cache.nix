# The provider's own binary cache: Nix asks it before all others.
{ config, lib, options, ... }:
let
  inherit (lib) mkBefore mkDefault mkIf mkMerge mkOption types;
  file = config.hostenv.secrets;
  cfg = config.hostenv.cache;
  wanted = lib.filter (key: key != null) [ cfg.netrcSecret cfg.passwordSecret ];
  present = key: cfg.url != null && key != null && file.file != null && options ? sops;

  # The host of the URL, for the netrc file.
  host = builtins.match "https?://([^/?#:@]+)(:[0-9]+)?([/?#].*)?" (toString cfg.url);

  # A password in the URL would be in nix.conf, which is in the store. Errors must not
  # show such a URL.
  leaks = builtins.match "[^/]+://[^/?#]*:[^/?#]*@.*" (toString cfg.url) != null;

  # Nix asks the cache with the lowest priority number first, regardless of the order
  # in nix.conf. cache.nixos.org has 40.
  url = cfg.url + lib.optionalString (builtins.match ".*[?&]priority=.*" cfg.url == null)
    "${if lib.hasInfix "?" cfg.url then "&" else "?"}priority=10";

  sops = import ./sops-secret.nix { inherit lib; };
  secret = key: sops.secret { inherit (file) file; inherit key; };

  complaint = (import ../lib/secrets.nix).complaint {
    needs = "${config.hostenv.nodeName} logs in to a binary cache (provider.cache)";
    for = "provider.cache";
    all = wanted;
    missing = lib.filter (key: ! lib.elem key file.keys) wanted;
    inherit file;
    inherit (file) known;
    hasSops = options ? sops;
  };

  inherit (import ../lib/option.nix { inherit lib; }) nullable;
  key = types.strMatching "[^/]+(/[^/]+)?";
in
{
  options.hostenv.cache = {
    url = nullable (types.strMatching "[a-z0-9]+://[^[:space:]]+") "https://cache.hosting.example" "The binary cache, asked before all others. `provider.cache.url` sets it.";
    publicKey = nullable (types.strMatching "[^[:space:]:]+:[A-Za-z0-9+/=]+") "cache.hosting.example-1:VpyNRlfoLMTuZrSzZZZqEYxcZJ7MPkbbL2tBGGGQrQ4=" "The key by which the cache signs. `provider.cache.publicKey` sets it.";
    login = nullable types.singleLineStr "nodes" "The user name of the password, if the cache needs one. `provider.cache.login` sets it.";
    passwordSecret = nullable key "cache/password" "The key in the sops file that holds the password, or the token, of the cache. `provider.cache.passwordSecret` sets it.";
    netrcSecret = nullable key "cache/netrc" "The key in the sops file that holds a whole netrc file, in place of a password. `provider.cache.netrcSecret` sets it.";
  };

  config = mkMerge [
    {
      assertions = [
        { assertion = complaint == null; message = toString complaint; }
        {
          assertion = cfg.url != null || wanted == [ ] && cfg.publicKey == null && cfg.login == null;
          message = "provider.cache.url is not set, and other options of provider.cache are: set it to the cache's URL, such as \"https://cache.hosting.example\"";
        }
        {
          assertion = ! leaks;
          message = "provider.cache.url holds a password, and all users of ${config.hostenv.nodeName} can read it in the store: change the password, remove it from the URL, and set provider.cache.passwordSecret to its key in the sops file";
        }
        {
          assertion = leaks || cfg.url == null || cfg.publicKey != null;
          message = "provider.cache.publicKey is not set, and without it Nix refuses the packages of ${toString cfg.url}: set it to the public key of the cache's signatures";
        }
        {
          assertion = cfg.passwordSecret == null || cfg.netrcSecret == null;
          message = "provider.cache.passwordSecret and provider.cache.netrcSecret are both set: remove one of them, because a netrc file holds the password";
        }
        {
          assertion = leaks || cfg.passwordSecret == null || cfg.url == null || host != null;
          message = "provider.cache.url is ${toString cfg.url}, and provider.cache.passwordSecret is for a cache over HTTP: write the URL as https://HOST, without a user name or password";
        }
      ];
    }
    (mkIf (cfg.url != null) {
      nix.settings = {
        # NixOS joins these lists with its own, so cache.nixos.org and its key stay.
        substituters = mkBefore [ url ];
        trusted-public-keys = lib.optional (cfg.publicKey != null) cfg.publicKey;
        # The daemon downloads, as root.
        netrc-file =
          if present cfg.netrcSecret then mkDefault config.sops.secrets."hostenv/cache_netrc".path
          else mkIf (present cfg.passwordSecret && host != null) (mkDefault config.sops.templates.hostenv-cache-netrc.path);
      };
    })
    (lib.optionalAttrs (options ? sops) {
      sops = mkMerge [
        (mkIf (present cfg.netrcSecret) { secrets."hostenv/cache_netrc" = secret cfg.netrcSecret; })
        (mkIf (present cfg.passwordSecret && host != null) {
          secrets."hostenv/cache_password" = secret cfg.passwordSecret;
          templates.hostenv-cache-netrc = {
            content = "machine ${lib.head host}${lib.optionalString (cfg.login != null) " login ${cfg.login}"} password ${config.sops.placeholder."hostenv/cache_password"}";
          } // sops.access "root";
        })
      ];
    })
  ];
}
