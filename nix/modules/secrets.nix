# Secrets by sops: the node decrypts the provider's file with its own ssh key.
{ config, lib, options, ... }:
let
  inherit (lib) mkDefault mkOption types;
  cfg = config.hostenv.secrets;

  # The path of the file without string context. For a path in the provider's flake
  # the context is the whole repository, which would be copied to the node.
  original = lib.head options.hostenv.secrets.file.definitions;
  plain = builtins.unsafeDiscardStringContext (toString original);

  exists = cfg.file != null && builtins.pathExists cfg.file;
  # JSON is refused in ../lib/secrets.nix, where secrets are needed.
  isJSON = cfg.file != null && lib.hasSuffix ".json" (toString cfg.file);
in
{
  options.hostenv.secrets = {
    file = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = lib.literalExpression "./secrets/secrets.yaml";
      description = ''
        The sops file, in YAML, with the node's secrets. It must also be encrypted for the node's ssh host key.
        `provider.secretsPath` sets it. The node gets a copy of this file only.
      '';
      # A path in the flake would change with every commit of the provider's repository,
      # and copy the whole repository to the node, where every user can read it.
      apply = file:
        if file == null then null
        else if ! builtins.pathExists file then plain
        else builtins.path { path = file; name = lib.strings.sanitizeDerivationName (baseNameOf plain); };
    };
    keys = mkOption {
      type = types.listOf types.singleLineStr;
      default =
        if exists && ! isJSON then import ../lib/sops-keys.nix cfg.name (builtins.readFile cfg.file)
        else [ ];
      defaultText = lib.literalMD "the names of the keys in the file, which sops does not encrypt";
      example = [ "acme/backups_secret" "acme/backups_env" ];
      description = ''
        The keys in the sops file, two levels joined by a slash. Set it if Nix cannot read the names from the file, or
        if the file does not exist when the node is evaluated.
      '';
    };
    known = mkOption {
      type = types.bool;
      internal = true;
      readOnly = true;
      default = options.hostenv.secrets.keys.highestPrio < 1500 || exists;
      defaultText = lib.literalMD "whether the file exists, or `keys` is set";
      example = true;
      description = "Whether the keys of the file are known.";
    };
    name = mkOption {
      type = types.str;
      internal = true;
      readOnly = true;
      default =
        let inStore = builtins.match "${builtins.storeDir}/[^/]+/(.+)" plain; in
        if inStore == null then plain else lib.head inStore;
      defaultText = lib.literalMD "the file's path within the provider's flake";
      example = "secrets/secrets.yaml";
      description = "The name of the sops file in errors.";
    };
  };

  # Without sops-nix these options do not exist; ../lib/secrets.nix reports that if a
  # secret is needed.
  config = lib.optionalAttrs (options ? sops) {
    sops = {
      age.sshKeyPaths = mkDefault [ "/etc/ssh/ssh_host_ed25519_key" ];
      # Only age, so that .sops.yaml names nodes by one kind of key.
      gnupg.sshKeyPaths = mkDefault [ ];
      defaultSopsFile = lib.mkIf exists (mkDefault cfg.file);
      defaultSopsFormat = mkDefault "yaml";
    };
  };
}
