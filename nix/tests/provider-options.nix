let
  options = import ../lib/provider-options.nix;
  hostenvHostname = "hosting.example";
in
{
  carried-through = {
    expr = options.data {
      inherit hostenvHostname;
      nodes.a.hostname = "a.hosting.example";
      nodeFor.default = "a";
      placement."acme__site/main" = "a";
      limits.acme.memory = "4G";
      uidRange = { first = 40000; last = 59999; };
      transfers = [ { host = "x.example"; from = "a"; to = "b"; } ];
      moved = [ ];
      allowEmpty = false;
      unknownToUs.deep = [ null ];
      cloudflare = { enable = true; apiTokenSecret = "cloudflare/token"; apiToken = null; };
    };
    expected = {
      inherit hostenvHostname;
      nodes.a.hostname = "a.hosting.example";
      nodeFor.default = "a";
      placement."acme__site/main" = "a";
      limits.acme.memory = "4G";
      uidRange = { first = 40000; last = 59999; };
      transfers = [ { host = "x.example"; from = "a"; to = "b"; } ];
      moved = [ ];
      allowEmpty = false;
      unknownToUs.deep = [ null ];
      cloudflare = { enable = true; apiTokenSecret = "cloudflare/token"; apiToken = null; };
    };
  };
  left-out = {
    expr = options.data { inherit hostenvHostname; nodesPath = ./.; secretsPath = ./.; nodeModules = [ (x: x) ]; overrides = x: x; generatedPath = ./.; lockFile = ./flake.lock; nixosSystem = x: x; pkgsFor = x: x; activate = x: x; system = "x86_64-linux"; accessTokensSecret = "access_tokens"; cache.url = "https://cache.hosting.example"; };
    expected = { inherit hostenvHostname; };
  };
  left-out-are = { expr = options.notInInventory; expected = [ "accessTokensSecret" "activate" "cache" "evaluation" "generatedPath" "lockFile" "nixosSystem" "nodeModules" "nodesPath" "overrides" "pkgsFor" "secretsPath" "system" ]; };

  no-hostname = { expr = options.data { }; error = "provider: hostenvHostname is missing.*hint: set provider.hostenvHostname"; };
  empty-hostname = { expr = options.data { hostenvHostname = ""; }; error = "provider: hostenvHostname is missing"; };
  token = {
    expr = options.data { inherit hostenvHostname; cloudflare.apiToken = "s3${"cret"}"; };
    error = "provider: cloudflare.apiToken is a secret, and flakes.*hint: name a key of the sops file by cloudflare.apiTokenSecret, or set CF_API_TOKEN";
    errorNot = "s3cret";
  };
  token-file = {
    expr = options.data { inherit hostenvHostname; cloudflare.apiTokenFile = ./no-such-token; };
    error = "provider: cloudflare.apiTokenFile: options of .*cloudflare.apiTokenFile: cloudflare.apiTokenSecret = \"cloudflare/api_token\"; a key of the sops file, or set CF_API_TOKEN";
  };
}
