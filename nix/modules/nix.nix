# Nix on the node: whose closures it takes, and how long it keeps them.
{ config, lib, ... }:
let
  inherit (lib) mkDefault mkIf mkOption types;
  cfg = config.hostenv.deploy;
in
{
  options.hostenv.deploy = {
    trustedPublicKeys = mkOption {
      type = types.listOf types.singleLineStr;
      default = [ ];
      example = [ "hosting.example-1:VpyNRlfoLMTuZrSzZZZqEYxcZJ7MPkbbL2tBGGGQrQ4=" ];
      description = ''
        The public keys, beside those of the caches, whose signature makes the node take a closure.
        `provider.nixSigning.trustedPublicKeys` sets it.
      '';
    };
    trusted = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = ''
        Whether Nix trusts the deploy user, so that the node takes unsigned closures from it. Off, the node trusts the
        provider's signing key, and an ssh key alone is not enough.
      '';
    };
    remoteBuild = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = "Whether the node builds its systems itself. `provider.nodes.<node>.remoteBuild` sets it.";
    };
  };

  config = {
    warnings = lib.optional (cfg.trustedPublicKeys == [ ] && ! cfg.trusted && ! cfg.remoteBuild) ''
      The node ${config.hostenv.nodeName} refuses what is deployed to it, for it trusts no key that a closure could be
      signed with: set provider.nixSigning.trustedPublicKeys, or hostenv.deploy.trusted = true for closures without a
      signature.'';

    nix = {
      settings = {
        # Lists add up with NixOS's own, so these are no mkDefault.
        trusted-public-keys = cfg.trustedPublicKeys;
        trusted-users = mkIf cfg.trusted [ "root" cfg.user ];
        require-sigs = mkDefault true;
        # Environments manage their profiles by `nix profile`.
        experimental-features = mkDefault [ "nix-command" "flakes" ];
      };
      # A month of generations is left to go back to.
      gc = {
        automatic = mkDefault true;
        dates = mkDefault "weekly";
        randomizedDelaySec = mkDefault "1h";
        options = mkDefault "--delete-older-than 30d";
      };
    };
  };
}
