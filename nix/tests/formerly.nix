let
  formerly = import ../lib/formerly.nix;
  options = import ../lib/provider-options.nix;
  data = provider: options.data ({ hostenvHostname = "hosting.example"; } // provider);
in
{
  null-says-nothing = {
    expr = data { statePath = null; nodeSshPorts = null; letsEncrypt = { enable = null; acceptTerms = true; }; cloudflare = { apiTokenFile = null; zoneId = null; }; };
    expected = { hostenvHostname = "hosting.example"; letsEncrypt.acceptTerms = true; cloudflare.zoneId = null; };
  };
  every-path = {
    expr = map (builtins.concatStringsSep ".") formerly.paths;
    expected = [
      "nodeSystems" "nodeAddresses" "nodeSshPorts" "nodeSshOpts" "nodeRemoteBuild" "nodeMagicRollback" "nodeAutoRollback"
      "statePath" "planPath" "planSource" "generatedFlake" "haskellDevPackages" "letsEncrypt.enable" "cloudflare.apiTokenFile"
    ];
  };

  # All former options are reported together, each with the line that replaces it.
  all-at-once = {
    expr = data {
      nodeSystems."node-a" = "aarch64-linux";
      nodeSshPorts = { n1 = 2222; n2 = 22; };
      planSource = "eval";
    };
    error = "provider: nodeSystems, nodeSshPorts, planSource: options of hostenv's own provider module, which this one does not have.*hint: write below `provider`, in place of.*nodeSystems: nodes.node-a.system = \"aarch64-linux\";.*nodeSshPorts: nodes.n1.sshPort = 2222;.*nodeSshPorts: nodes.n2.sshPort = 22;.*planSource: nothing: ";
  };

  addresses = { expr = data { nodeAddresses."n.1" = "192.0.2.1"; }; error = " nodeAddresses: nodes[.]\"n.1\"[.]address = \"192[.]0[.]2[.]1\";"; };
  ssh-options = { expr = data { nodeSshOpts.n = [ "-o" "ProxyJump=\${x}" ]; }; error = " nodeSshOpts: nodes[.]n[.]sshOpts = [[] \"-o\" \"ProxyJump=.[$][{]x[}]\" ];"; };
  remote-build = { expr = data { nodeRemoteBuild = { n = true; m = false; }; }; error = "nodes.m.remoteBuild = false;.*nodes.n.remoteBuild = true;"; };
  magic-roll-back = { expr = data { nodeMagicRollback.n = false; }; error = " nodeMagicRollback: nodes.n.magicRollback = false;"; };
  auto-roll-back-of-all = { expr = data { nodeAutoRollback = false; }; error = " nodeAutoRollback: nodes.<node>.autoRollback = false; for each node"; };

  state-beside = { expr = data { statePath = ./plans/state.json; }; error = "statePath: generatedPath = ./.*plans; the folder of state.json and plan.json"; };
  state-in-generated = { expr = data { statePath = "generated/state.json"; planPath = "generated/plan.json"; }; error = "statePath: nothing: this is the default.*planPath: nothing: this is the default"; };

  generated-flake = {
    expr = data {
      generatedFlake = {
        inputs.tools.url = "github:a/b";
        envInputs.follows = { nixpkgs = "nixpkgs"; phps = "php-packages"; };
        envInputs.extra = _: { };
      };
    };
    error = "generatedFlake: inputs.tools = [{] url = \"github:a/b\"; [}]; among the inputs of flake.nix.*generatedFlake: overrides.nixpkgs = inputs.nixpkgs;.*generatedFlake: overrides.phps = inputs.php-packages;.*generatedFlake: overrides.<input> = inputs.<input>;";
  };
  empty-generated-flake = { expr = data { generatedFlake = { }; }; error = "generatedFlake: nothing: no flake is generated"; };
  haskell = { expr = data { haskellDevPackages = [ ]; }; error = "haskellDevPackages: nothing: "; };

  certificates-on = { expr = data { letsEncrypt.enable = true; }; error = "letsEncrypt.enable: nothing: certificates are issued"; };
  certificates-off = { expr = data { letsEncrypt.enable = false; }; error = "letsEncrypt.enable: enableLetsEncrypt = false; at each virtual host"; };

  before-any-project = {
    expr = ((import ../lib).mkProvider {
      inputs = { self = ./.; acme__site = throw "the project ${"is"} broken"; };
      provider = { hostenvHostname = "hosting.example"; planSource = "eval"; };
      lockFile = builtins.toFile "flake.lock" (builtins.toJSON { version = 7; root = "root"; nodes.root = { }; });
    }).lib.hostenvProvider.inventory.projects;
    error = "provider: planSource: options of";
    errorNot = "the project is broken";
  };
}
