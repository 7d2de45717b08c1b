{ lib, ... }:
let
  inherit (lib) mkOption types;

  # Where a node says nothing the plan says nothing either, and what reads the
  # plan decides.
  unless = description: type: args: mkOption (args // {
    type = types.nullOr type;
    default = null;
    inherit description;
  });
in
{
  options.provider.nodes = mkOption {
    type = types.attrsOf (types.submodule {
      options = {
        system = mkOption {
          type = types.str;
          default = "x86_64-linux";
          example = "aarch64-linux";
          description = "The node's platform.";
        };

        address = unless
          "The host name or IP address that it is reached at. `null` for `<node>.<hostenvHostname>`."
          types.str
          { example = "192.0.2.10"; };

        sshPort = unless
          "The port of its ssh server. `null` for 22."
          types.port
          { example = 2222; };

        sshOpts = mkOption {
          type = types.listOf types.singleLineStr;
          default = [ ];
          example = [ "-o" "ProxyJump=bastion.hosting.example" ];
          description = "Further arguments of ssh.";
        };

        hostKey = unless
          "Its ssh host key. `null` to ask the known hosts of whoever deploys."
          types.singleLineStr
          { example = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA..."; };

        remoteBuild = unless
          "Whether to build on the node itself. `null` for no."
          types.bool
          { example = true; };

        magicRollback = unless
          "Whether the node goes back by itself where nobody can reach it after an activation. `null` for yes."
          types.bool
          { example = false; };

        autoRollback = unless
          "Whether the node goes back where an activation fails. `null` for yes."
          types.bool
          { example = false; };

        tempPath = unless
          ''
            The folder for the files by which deploy-rs confirms an activation.
            It must be private: in a shared one, an environment's user could fake
            them. `null` for one that the node's own configuration makes.
          ''
          types.str
          { example = "/run/hostenv/deploy"; };
      };
    });
    default = { };
    example = {
      node-a = { address = "192.0.2.10"; };
      node-b = { address = "192.0.2.20"; system = "aarch64-linux"; };
    };
    description = ''
      The nodes there are. If any is named, `provider.nodeFor` and
      `provider.placement` must name no others.
    '';
  };
}
