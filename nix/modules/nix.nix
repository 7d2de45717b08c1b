# Nix on the node: who may use it and with how much of the machine, the closures that it
# accepts, and how long it keeps them.
{ config, lib, pkgs, ... }:
let
  inherit (lib) attrValues concatStringsSep elem filter mkDefault mkIf mkOption types;
  cfg = config.hostenv.deploy;
  inherit (config.hostenv) environments;
  inherit (config.hostenv.nix) customers;

  # The daemon does for its callers what the limits of an environment do not count:
  # builds, downloads, garbage collection. It is also the largest program that runs as
  # root for its users.
  mayUse = e: elem "*" customers || elem e.hostenv.organisation customers || elem "${e.hostenv.organisation}__${e.hostenv.project}" customers;
  customer = types.strMatching "[*]|[a-z0-9]+(__[a-z0-9]+)?" // {
    description = "an organisation, a project (`<organisation>__<project>`) or \"*\"";
  };

  nixEnv = pkgs.writeShellScriptBin "nix-env" (import ../lib/fill.nix ./hostenv-nix-env.sh {
    coreutils = lib.makeBinPath [ pkgs.coreutils ];
    nix = lib.getBin config.nix.package;
  });
in
{
  options.hostenv.nix.customers = mkOption {
    type = types.listOf customer;
    default = [ ];
    example = [ "acme" "beta__portal" ];
    description = ''
      The organisations and projects whose environments may use Nix on the node, or `"*"` for all. Environments are deployed
      and run without it. `hostenv deploy` and `nix build`, `nix shell` or `nix profile` in a session need it.
    '';
  };

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
        allowed-users = [ "root" cfg.user ] ++ map (e: e.hostenv.userName) (filter mayUse (attrValues environments));
        require-sigs = mkDefault true;
        # Customers who may use Nix manage their own profiles by `nix profile`.
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

    # An environment's profile is set without the daemon, which would refuse its user.
    environment.systemPackages = mkIf (environments != { }) [ (lib.hiPrio nixEnv) ];

    # Builds get what the rest of the node leaves, and end before it does.
    systemd.slices.hostenv-nix = {
      description = "Nix and its builds";
      sliceConfig = builtins.mapAttrs (_: mkDefault) {
        CPUWeight = 20;
        IOWeight = 20;
        MemoryHigh = "50%";
        MemoryMax = "60%";
        TasksMax = 8192;
      };
    };
    systemd.services.nix-daemon.serviceConfig = builtins.mapAttrs (_: mkDefault) {
      Slice = "hostenv-nix.slice";
      # A build that takes too much memory ends alone, not with the daemon and a push.
      OOMPolicy = "continue";
    };
  };
}
