let
  formerly = import ../lib/formerly.nix;
  options = import ../lib/provider-options.nix;
  said = provider: options.data ({ hostenvHostname = "hosting.example"; } // provider);
in
{
  null-says-nothing = {
    expr = said { statePath = null; nodeSshPorts = null; letsEncrypt = { enable = null; acceptTerms = true; }; cloudflare = { apiTokenFile = null; zoneId = null; }; };
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
    expr = said {
      nodeSystems."node-a" = "aarch64-linux";
      nodeSshPorts = { n1 = 2222; n2 = 22; };
      planSource = "eval";
    };
    error = "provider: nodeSystems, nodeSshPorts, planSource: options of hostenv's own provider module, which this one does not have.*hint: write below `provider`, in place of.*nodeSystems: nodes.node-a.system = \"aarch64-linux\";.*nodeSshPorts: nodes.n1.sshPort = 2222;.*nodeSshPorts: nodes.n2.sshPort = 22;.*planSource: nothing: ";
  };

  addresses = { expr = said { nodeAddresses."n.1" = "192.0.2.1"; }; error = " nodeAddresses: nodes[.]\"n.1\"[.]address = \"192[.]0[.]2[.]1\";"; };
  ssh-options = { expr = said { nodeSshOpts.n = [ "-o" "ProxyJump=\${x}" ]; }; error = " nodeSshOpts: nodes[.]n[.]sshOpts = [[] \"-o\" \"ProxyJump=.[$][{]x[}]\" ];"; };
  remote-build = { expr = said { nodeRemoteBuild = { n = true; m = false; }; }; error = "nodes.m.remoteBuild = false;.*nodes.n.remoteBuild = true;"; };
  magic-roll-back = { expr = said { nodeMagicRollback.n = false; }; error = " nodeMagicRollback: nodes.n.magicRollback = false;"; };
  auto-roll-back-of-all = { expr = said { nodeAutoRollback = false; }; error = " nodeAutoRollback: nodes.<node>.autoRollback = false; for each node"; };

  state-beside = { expr = said { statePath = ./plans/state.json; }; error = "statePath: generatedPath = ./.*plans; the folder of state.json and plan.json"; };
  state-in-generated = { expr = said { statePath = "generated/state.json"; planPath = "generated/plan.json"; }; error = "statePath: nothing: it is where state.json lies.*planPath: nothing: it is where plan.json lies"; };

  generated-flake = {
    expr = said {
      generatedFlake = {
        inputs.tools.url = "github:a/b";
        envInputs.follows = { nixpkgs = "nixpkgs"; phps = "php-packages"; };
        envInputs.extra = _: { };
      };
    };
    error = "generatedFlake: inputs.tools = [{] url = \"github:a/b\"; [}]; among the inputs of flake.nix.*generatedFlake: overrides.nixpkgs = inputs.nixpkgs;.*generatedFlake: overrides.phps = inputs.php-packages;.*generatedFlake: overrides.<input> = inputs.<input>;";
  };
  empty-generated-flake = { expr = said { generatedFlake = { }; }; error = "generatedFlake: nothing: no flake is generated"; };
  haskell = { expr = said { haskellDevPackages = [ ]; }; error = "haskellDevPackages: nothing: "; };

  certificates-on = { expr = said { letsEncrypt.enable = true; }; error = "letsEncrypt.enable: nothing: certificates are issued"; };
  certificates-off = { expr = said { letsEncrypt.enable = false; }; error = "letsEncrypt.enable: enableLetsEncrypt = false; at each virtual host"; };

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
