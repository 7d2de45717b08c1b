{ lib, mkOption, types, nullable, defaults, ... }:
mkOption {
  type = types.attrsOf (types.submodule {
    options = {
      system = mkOption {
        type = types.str;
        default = defaults.node.system;
        example = "aarch64-linux";
        description = "The node's platform.";
      };

      address = nullable types.str "192.0.2.10"
        "The host name or IP address of the node. `null` for `<node>.<hostenvHostname>`.";

      sshPort = nullable types.port 2222
        "The port of its ssh server. `null` for 22.";

      sshOpts = mkOption {
        type = types.listOf types.singleLineStr;
        default = [ ];
        example = [ "-o" "ProxyJump=bastion.hosting.example" ];
        description = "Further arguments of ssh.";
      };

      hostKey = nullable types.singleLineStr "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA..."
        "Its ssh host key. `null` for the known hosts of the user that deploys.";

      remoteBuild = nullable types.bool true
        "Whether to build on the node itself. `null` for no.";

      magicRollback = nullable types.bool false
        "Whether the node rolls back by itself if the deploying machine cannot reach it after an activation. `null` for yes.";

      autoRollback = nullable types.bool false
        "Whether the node rolls back when an activation fails. `null` for yes.";

      activations = nullable types.ints.positive 2
        ''
          How many environments of the node are activated at once: fewer for
          a node with few cores. `null` for 8.
        '';

      tempPath = nullable types.str "/run/hostenv/deploy"
        ''
          The folder for the files by which deploy-rs confirms an activation.
          No other user may write to it: an environment's user could fake
          the files. `null` for `/run/hostenv/deploy`.
        '';

      checks = import ../lib/node-checks.nix { inherit lib nullable; };
    };
  });
  default = defaults.plain.nodes;
  example = {
    node-a = { address = "192.0.2.10"; };
    node-b = { address = "192.0.2.20"; system = "aarch64-linux"; };
  };
  description = ''
    The provider's nodes. If one is listed here, `provider.nodeFor` and
    `provider.placement` may name only nodes of this list.
  '';
}
