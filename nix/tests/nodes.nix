let
  nodes = import ../lib/nodes.nix;

  environment = node: { inherit node; enable = true; hostenv.userName = "site-main-b7ea262"; };
  plan = {
    deployUser = "deployer";
    environments = {
      site-main-b7ea262 = environment "n1";
      shop-main-4f7240c = environment "n2";
      off-main-1234567 = environment "n1" // { enable = false; };
      older-main-7654321 = removeAttrs (environment "n1") [ "enable" ];
    };
    nodes = { n1.users.users = { }; n2 = { }; };
  };
  inputs.sops-nix.nixosModules.sops = "sops-nix";
  machines = ./fixtures/nodes;

  modules = arguments: nodes.modulesOf ({ inherit plan inputs; provider = { }; node = "n1"; self.outPath = toString ./fixtures; } // arguments);

  # What was said of an option: definitions by default are { content; ... }.
  plain = value: value.content or value;
  settings = arguments: builtins.mapAttrs (_: plain) (said arguments).deploy;
  said = arguments: (builtins.elemAt (modules arguments) 1).config.hostenv;

  # One word for each module, in their order.
  names = map (module:
    if builtins.isAttrs module then module._file or "a module"
    else builtins.baseNameOf (toString module));
in
{
  order = {
    expr = names (modules { provider = { nodeModules = [ "of the provider" ]; nodesPath = machines; }; });
    expected = [ "common.nix" "provider" "sops-nix" "of the provider" "configuration.nix" "generated/plan.json" "generated/plan.json" ];
  };
  without-anything = {
    expr = names (nodes.modulesOf { inherit plan; provider = { }; node = "n2"; });
    expected = [ "common.nix" "provider" "generated/plan.json" "generated/plan.json" ];
  };
  no-machines = { expr = builtins.length (modules { provider.nodesPath = null; }); expected = 5; };
  the-plans-node = { expr = (builtins.elemAt (modules { }) 4).config; expected = { users.users = { }; }; };

  environments = { expr = builtins.attrNames (nodes.environmentsOn plan "n1"); expected = [ "older-main-7654321" "site-main-b7ea262" ]; };
  environments-of-the-module = {
    expr = builtins.attrNames (builtins.elemAt (modules { node = "n2"; }) 3).config.hostenv.environments;
    expected = [ "shop-main-4f7240c" ];
  };
  environments-elsewhere = { expr = nodes.environmentsOn plan "n3"; expected = { }; };

  machine-missing = {
    expr = map builtins.typeOf (modules { node = "n2"; provider.nodesPath = machines; });
    error = "node n2: there is no nodes/n2/configuration.nix.*hint: write .*git add.*provider.nodesPath = null";
    # The provider knows where his flake is.
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

  settings-by-default = {
    expr = settings { };
    expected = { user = "deployer"; publicKeys = [ ]; tempPath = "/run/hostenv-deploy"; trustedPublicKeys = [ ]; remoteBuild = false; };
  };
  settings-of-the-provider = {
    expr = settings {
      provider = {
        deployPublicKeys = [ "ssh-ed25519 A" ];
        nixSigning.trustedPublicKeys = [ "k-1:A" ];
        nodes.n1 = { tempPath = "/var/lib/deploy"; remoteBuild = true; };
      };
    };
    expected = { user = "deployer"; publicKeys = [ "ssh-ed25519 A" ]; tempPath = "/var/lib/deploy"; trustedPublicKeys = [ "k-1:A" ]; remoteBuild = true; };
  };
  # As options of the module system are that nobody set.
  settings-null = {
    expr = settings { provider = { nixSigning.trustedPublicKeys = null; nodes.n1 = { tempPath = null; remoteBuild = null; sshPort = null; }; }; };
    expected = { user = "deployer"; publicKeys = [ ]; tempPath = "/run/hostenv-deploy"; trustedPublicKeys = [ ]; remoteBuild = false; };
  };
  settings-signing-null = { expr = (settings { provider.nixSigning = null; }).trustedPublicKeys; expected = [ ]; };
  user-of-the-provider = { expr = (settings { plan = removeAttrs plan [ "deployUser" ]; provider.deployUser = "ops"; }).user; expected = "ops"; };
  user-of-nobody = { expr = (settings { plan = removeAttrs plan [ "deployUser" ]; }).user; expected = "deploy"; };

  port = { expr = plain (said { }).ssh.ports; expected = [ 22 ]; };
  port-other = { expr = plain (said { provider.nodes.n1.sshPort = 2222; }).ssh.ports; expected = [ 22 2222 ]; };
  secrets = { expr = plain (said { provider.secretsPath = "/s.yaml"; }).secrets.file; expected = "/s.yaml"; };
  secrets-none = { expr = plain (said { }).secrets.file; expected = null; };

  temp-paths = { expr = [ nodes.tempPath.system (nodes.tempPath.environment "u") ]; expected = [ "/run/hostenv-deploy" "/run/hostenv/user/u" ]; };
}
