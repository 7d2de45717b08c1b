# Nix on the node: the closures that it accepts, and how long it keeps them.
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
        The public keys, besides those of the caches, whose signed closures the node accepts.
        `provider.nixSigning.trustedPublicKeys` sets it.
      '';
    };
    trusted = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = ''
        Whether Nix trusts the deploy user, so that the node accepts unsigned closures from it. If false, the node trusts the
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
      The node ${config.hostenv.nodeName} would refuse every deploy, because it trusts no signing key:
      set provider.nixSigning.trustedPublicKeys, or hostenv.deploy.trusted = true to accept unsigned closures.'';

    nix = {
      settings = {
        # NixOS joins these lists with its own, so they need no mkDefault.
        trusted-public-keys = cfg.trustedPublicKeys;
        trusted-users = mkIf cfg.trusted [ "root" cfg.user ];
        require-sigs = mkDefault true;
        # Environments manage their profiles by `nix profile`.
        experimental-features = mkDefault [ "nix-command" "flakes" ];
      };
      # Roll-backs can use the generations of a month.
      gc = {
        automatic = mkDefault true;
        dates = mkDefault "weekly";
        randomizedDelaySec = mkDefault "1h";
        options = mkDefault "--delete-older-than 30d";
      };
    };
  };
}
