# The provider's own options, as they are in the inventory.
let
  fail = import ./fail.nix;
  formerly = import ./formerly.nix;
  toData = import ./json.nix { subject = "provider"; root = null; };

  # Options that only Nix reads, such as folders, modules and functions.
  notInInventory = [
    "accessTokensSecret"
    "activate"
    "cache"
    "evaluation"
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

  # noSecrets provider: the options, or an error if they hold a secret.
  noSecrets = provider:
    let
      token = provider.cloudflare.apiToken or null;
    in
    if token != null then
      fail {
        subject = "provider";
        problem = "cloudflare.apiToken is a secret, and flakes are copied into the store, which every user can read";
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

  # data provider: the options as JSON-safe data, with those that this program does
  # not know.
  data = provider:
    toData [ ] (removeAttrs (noSecrets (formerly.refuse provider)) notInInventory // { hostenvHostname = hostname provider; });
}
