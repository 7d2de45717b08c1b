let
  nodes = import ../lib/nodes.nix;

  environment = node: { inherit node; enable = true; hostenv.userName = "site-main-b7ea262"; };
  reached = { system = "x86_64-linux"; profileLink = "/nix/var/nix/profiles/system"; tempPath = "/run/hostenv/deploy"; remoteBuild = false; autoRollback = true; magicRollback = true; activationTimeout = 3600; };
  plan = {
    deployUser = "deployer";
    environments = {
      site-main-b7ea262 = environment "n1";
      shop-main-4f7240c = environment "n2";
      off-main-1234567 = environment "n1" // { enable = false; };
      older-main-7654321 = removeAttrs (environment "n1") [ "enable" ];
    };
    profiles.site-main-b7ea262 = { profileLink = "/p/site"; tempPath = "/t/site"; activationTimeout = 900; };
    nodes = { n1.users.users = { }; n2 = { }; };
    nodeConnections = { n1 = reached // { hostname = "n1.hosting.example"; }; n2 = reached // { hostname = "n2.hosting.example"; }; };
  };
  inputs.sops-nix.nixosModules.sops = "sops-nix";
  machines = ./fixtures/nodes;

  complete = provider: (import ../lib/provider-defaults.nix).plain // { nodesPath = null; secretsPath = null; } // provider;
  modules = arguments@{ provider ? { }, ... }:
    nodes.modulesOf ({ inherit plan inputs; node = "n1"; self.outPath = toString ./fixtures; } // arguments // { provider = complete provider; });

  # The value of a definition. One made by mkDefault is { content; ... }.
  plain = value: value.content or value;
  ofProvider = provider: (builtins.elemAt (modules { inherit provider; }) 1).config.hostenv;
  ofPlan = extra: (builtins.elemAt (modules { plan = plan // extra; }) 3).config.hostenv;
  connected = connection: ofPlan { nodeConnections.n1 = plan.nodeConnections.n1 // connection; };

  # One word for each module, in order.
  names = map (module:
    if builtins.isAttrs module then module._file or "a module"
    else builtins.baseNameOf (toString module));
in
{
  order = {
    expr = names (modules { provider = { nodeModules = [ "of the provider" ]; nodesPath = machines; }; });
    expected = [ "common.nix" "provider" "sops-nix" "of the provider" "nodes/n1/configuration.nix" "generated/plan.json" "generated/plan.json" ];
  };
  without-anything = {
    expr = names (nodes.modulesOf { inherit plan; provider = complete { }; node = "n2"; });
    expected = [ "common.nix" "provider" "generated/plan.json" "generated/plan.json" ];
  };
  no-machines = { expr = builtins.length (modules { provider.nodesPath = null; }); expected = 5; };
  the-plans-node = { expr = (builtins.elemAt (modules { }) 4).config; expected = { users.users = { }; }; };

  environments = { expr = builtins.attrNames (nodes.environmentsOn plan "n1"); expected = [ "older-main-7654321" "site-main-b7ea262" ]; };
  environments-of-the-module = {
    expr = builtins.attrNames (builtins.elemAt (modules { node = "n2"; }) 3).config.hostenv.environments;
    expected = [ "shop-main-4f7240c" ];
  };
  disabled = {
    expr = (builtins.elemAt (modules { plan = plan // { environments = plan.environments // { off-main-1234567 = plan.environments.off-main-1234567 // { uid = 40003; }; }; }; }) 3).config.hostenv.disabled;
    expected = { off-main-1234567 = 40003; };
  };
  profile = {
    expr = { inherit ((nodes.environmentsOn plan "n1").site-main-b7ea262) node profileLink tempPath; };
    expected = { node = "n1"; profileLink = "/p/site"; tempPath = "/t/site"; };
  };
  environments-elsewhere = { expr = nodes.environmentsOn plan "n3"; expected = { }; };

  # Paths are plain text, so that the node does not get the provider's whole source.
  machine-without-context = {
    expr =
      let
        whole = "${./fixtures}";
        machine = builtins.elemAt (modules { provider.nodesPath = whole + "/nodes"; self.outPath = whole; }) 3;
      in
      {
        inherit (machine) _file key;
        context = builtins.hasContext (machine._file + machine.key);
      };
    expected = { _file = "nodes/n1/configuration.nix"; key = "nodes/n1/configuration.nix"; context = false; };
  };
  machine-missing = {
    expr = map builtins.typeOf (modules { node = "n2"; provider.nodesPath = machines; });
    error = "node n2: there is no nodes/n2/configuration.nix.*hint: write .*git add.*provider.nodesPath = null";
    # Errors show the path in the provider's flake.
    errorNot = "/fixtures/nodes/n2";
  };
  machine-missing-elsewhere = {
    expr = map builtins.typeOf (modules { node = "n2"; provider.nodesPath = machines; self = null; });
    error = "there is no /.*/fixtures/nodes/n2/configuration.nix";
  };
  node-missing = {
    expr = (builtins.elemAt (modules { node = "n3"; }) 4).config;
    error = "node n3: generated/plan.json has no such node.*hint: .*mage plan";
  };

  of-provider = {
    expr = builtins.removeAttrs
      (ofProvider { deployPublicKeys = [ "ssh-ed25519 A" ]; nixSigning.trustedPublicKeys = [ "k-1:A" ]; })
      [ "secrets" ];
    expected = { nodeName = "n1"; accessTokens = { }; cache = { }; deploy = { publicKeys = [ "ssh-ed25519 A" ]; trustedPublicKeys = [ "k-1:A" ]; }; };
  };
  of-provider-secret-sources = {
    expr = let said = ofProvider { accessTokensSecret = "access_tokens"; cache = { url = "https://cache.hosting.example"; login = null; }; };
      in { tokens = plain said.accessTokens.secret; cache = builtins.mapAttrs (_: plain) said.cache; };
    expected = { tokens = "access_tokens"; cache.url = "https://cache.hosting.example"; };
  };
  of-provider-sources-null = {
    expr = let said = ofProvider { accessTokensSecret = null; cache = { url = null; }; }; in { inherit (said) accessTokens cache; };
    expected = { accessTokens = { }; cache = { }; };
  };
  of-provider-nothing = {
    expr = (ofProvider { }).deploy;
    expected = { publicKeys = [ ]; trustedPublicKeys = [ ]; };
  };
  # The module system gives these values to unset options.
  of-provider-null = { expr = (ofProvider { nixSigning.trustedPublicKeys = null; }).deploy.trustedPublicKeys; expected = [ ]; };
  of-provider-signing-null = { expr = (ofProvider { nixSigning = null; }).deploy.trustedPublicKeys; expected = [ ]; };

  of-plan = {
    expr = builtins.mapAttrs (_: plain) (ofPlan { }).deploy;
    expected = { user = "deployer"; profileLink = "/nix/var/nix/profiles/system"; tempPath = "/run/hostenv/deploy"; remoteBuild = false; };
  };
  of-plan-connection = {
    expr = builtins.mapAttrs (_: plain) (connected { tempPath = "/var/lib/deploy"; remoteBuild = true; }).deploy;
    expected = { user = "deployer"; profileLink = "/nix/var/nix/profiles/system"; tempPath = "/var/lib/deploy"; remoteBuild = true; };
  };
  of-plan-null = {
    expr = builtins.mapAttrs (_: plain) (connected { sshPort = null; }).deploy;
    expected = { user = "deployer"; profileLink = "/nix/var/nix/profiles/system"; tempPath = "/run/hostenv/deploy"; remoteBuild = false; };
  };

  port = { expr = plain (ofPlan { }).ssh.ports; expected = [ 22 ]; };
  port-null = { expr = plain (connected { sshPort = null; }).ssh.ports; expected = [ 22 ]; };
  port-other = { expr = plain (connected { sshPort = 2222; }).ssh.ports; expected = [ 22 2222 ]; };
  secrets = { expr = plain (ofProvider { secretsPath = "/s.yaml"; }).secrets.file; expected = "/s.yaml"; };
  secrets-none = { expr = plain (ofProvider { }).secrets.file; expected = null; };
}
