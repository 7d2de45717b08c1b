# The provider's own options, as the inventory carries them.
let
  fail = import ./fail.nix;
  formerly = import ./formerly.nix;
  toData = import ./json.nix { subject = "provider"; root = null; };

  # What concerns the provider's own flake alone, such as folders, modules and
  # functions, which Nix reads and never a plan.
  notInInventory = [
    "accessTokensSecret"
    "activate"
    "cache"
    "generatedPath"
    "lockFile"
    "nixosSystem"
    "nodeModules"
    "nodesPath"
    "overrides"
    "pkgsFor"
    "secretsPath"
    "system"
  ];

  # noSecrets provider: the provider, if no secret stands in it.
  noSecrets = provider:
    let
      token = provider.cloudflare.apiToken or null;
    in
    if token != null then
      fail {
        subject = "provider";
        problem = "cloudflare.apiToken is a secret in plain sight: flakes are copied into the store, which every user can read";
        hint = "name a key of the sops file by cloudflare.apiTokenSecret, or set CF_API_TOKEN where the plan is made";
      }
    else provider;

  # hostname provider: the domain of nodes and environments.
  hostname = provider:
    let value = provider.hostenvHostname or null; in
    if builtins.isString value && value != "" then value
    else
      fail {
        subject = "provider";
        problem = "hostenvHostname is missing";
        hint = "set provider.hostenvHostname to the domain that nodes and environments get their names below, as in \"hosting.example\"";
      };
in
{
  inherit notInInventory hostname;

  # data provider: the options as JSON-safe data; what the plan does not know
  # is carried through.
  data = provider:
    toData [ ] (removeAttrs (noSecrets (formerly.refuse provider)) notInInventory // { hostenvHostname = hostname provider; });
}
