# What the running system says it was made from. Modules get no commit of the provider's
# flake (nix/lib/compose.nix): each would make a new system.
{ config, lib, ... }:
{
  options.hostenv.revision = lib.mkOption {
    type = lib.types.nullOr lib.types.str;
    default = null;
    example = "2026-11";
    description = ''
      What `nixos-version --configuration-revision` prints on the node
      (`system.configurationRevision`); null for nothing. A new value is a new system of
      each node that has it, so set it where you want that: a release, and not each commit.
    '';
  };

  config.system.configurationRevision = lib.mkIf (config.hostenv.revision != null) (lib.mkDefault config.hostenv.revision);
}
