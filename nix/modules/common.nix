# What every node of a provider has in common. Each import holds one aspect and sets
# defaults, which the node's configuration.nix or one of provider.nodeModules
# overrides. NixOS joins lists: docs/nodes.md says how to override one.
{ config, lib, ... }:
{
  imports = [
    ./access-tokens.nix
    ./acme.nix
    ./backups.nix
    ./cache.nix
    ./canary.nix
    ./challenge.nix
    ./deploy.nix
    ./environments.nix
    ./firewall.nix
    ./front-door.nix
    ./headers.nix
    ./logs.nix
    ./metrics.nix
    ./monitoring.nix
    ./move.nix
    ./nginx-check.nix
    ./nginx-upgrade.nix
    ./nix.nix
    ./openssh.nix
    ./processes.nix
    ./revision.nix
    ./runtime.nix
    ./secrets.nix
    ./sessions.nix
    ./slices.nix
    ./sudo.nix
    ./tmp.nix
    ./units.nix
    ./users.nix
    ./virtual-hosts.nix
    ./wildcard.nix
  ];

  options.hostenv.nodeName = lib.mkOption {
    type = lib.types.str;
    # The only option of hostenv that a node must set.
    defaultText = lib.literalMD "the node's name in the plan";
    example = "node-a";
    description = "The name of this node in the plan. Its first label is the machine's host name.";
  };

  config.networking.hostName = lib.mkDefault (lib.head (lib.splitString "." config.hostenv.nodeName));
}
