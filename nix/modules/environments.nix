# The environments on this node, copied from the plan: data that the other modules
# read. The plan sets NixOS's own options for them in nodes.<node>.
{ lib, ... }:
let
  inherit (lib) mkOption types;
  inherit (import ../lib/nginx.nix) quote;
  name = import ../lib/name-type.nix lib;

  # A set with these options that keeps other attributes.
  open = options: types.submodule {
    freeformType = types.lazyAttrsOf types.raw;
    inherit options;
  };

  # A word of nginx.conf: with one of more than about 4000 bytes, nginx refuses the
  # configuration of the whole node.
  headerValue = lib.mkOptionType {
    name = "headerValue";
    description = "text without control characters, of at most 3800 bytes as nginx quotes it";
    descriptionClass = "noun";
    check = value: lib.isString value && lib.stringLength (quote value) <= 3800 && builtins.match "[^[:cntrl:]]*" value != null;
    merge = lib.mergeEqualOption;
  };
  word = types.strMatching "[A-Za-z0-9._-]{1,100}";

  inherit (import ../lib/option.nix { inherit lib; }) required;
  # Null if the environment does not set it.
  optional = (import ../lib/option.nix { inherit lib; }).nullable;

  security = open {
    csp = optional headerValue "default-src 'self'" "Content-Security-Policy.";
    cspMode = optional (types.enum [ "enforce" "report-only" ]) "report-only" "Whether browsers enforce the policy, or only report violations.";
    cspReportTo = optional word "csp" "The group that gets reports of violations.";
    reportTo = optional headerValue "{\"group\":\"csp\",\"max_age\":86400,\"endpoints\":[]}" "Report-To.";
    referrerPolicy = optional word "no-referrer" "Referrer-Policy.";
    xFrameOptions = optional word "DENY" "X-Frame-Options.";
    xContentTypeOptions = optional types.bool true "Whether to send X-Content-Type-Options: nosniff.";
    hsts = optional types.bool true "Whether to send Strict-Transport-Security, over TLS.";
  };

  virtualHost = open {
    allowIndexing = optional types.bool false "Whether search engines may show the host.";
    hsts = optional types.bool true "Whether to send Strict-Transport-Security, over TLS.";
    security = optional security { xFrameOptions = "DENY"; } "Security headers, see hostenv.";
    extraConfig = optional types.lines "add_header X-Served-By hostenv;" "The project's own directives.";
    locations = mkOption {
      type = types.attrsOf (open {
        extraConfig = optional types.lines "expires 1h;" "The project's own directives.";
      });
      default = { };
      example = { "/".return = "302 /start"; };
      description = "Locations by their path.";
    };
  };

  identity = open {
    userName = required types.str "site-main-b7ea262" "The environment's user, and its name in the plan.";
    organisation = required types.str "acme" "The environment's organisation.";
    project = required types.str "site" "The environment's project.";
    hostname = optional types.str "site-main-b7ea262.hosting.example" "The host name that hostenv makes from the user name.";
    backupsRepoHost = optional types.str "s3:https://s3.example.com" "The host of the backups, or null for no backups.";
    backupsSecretFile = optional types.str "/run/secrets/site-main-b7ea262/backups_secret" "The file in which the environment looks for the passphrase of its backups.";
    backupsEnvFile = optional types.str "/run/secrets/site-main-b7ea262/backups_env" "The file in which the environment looks for the credentials of its backups.";
    runtimeDir = optional types.str "/run/hostenv/user/site-main-b7ea262" "The folder of the environment's sockets.";
    upstreamRuntimeDir = optional types.str "/run/hostenv/nginx/site-main-b7ea262" "The folder of the socket on which the environment listens for the front door.";
  };
in
{
  options.hostenv.environments = mkOption {
    type = types.attrsOf (open {
      uid = required types.int 40001 "The UID of the environment in the plan, and its GID.";
      formerNames = mkOption {
        type = types.listOf name.user;
        default = [ ];
        example = [ "website-main-0a1b2c3" ];
        description = "Former user names of the environment (`provider.moved`). The node finds its user and home by them.";
      };
      profileLink = required name.plainPath "/nix/var/nix/profiles/per-user/site-main-b7ea262/hostenv"
        "The link to the active package, in the folder of its generations.";
      tempPath = required name.plainPath "/run/hostenv/deploy/site-main-b7ea262" "The folder where deploy-rs confirms an activation.";
      hostenv = required identity { userName = "site-main-b7ea262"; organisation = "acme"; project = "site"; } "The identity of the environment.";
      virtualHosts = mkOption {
        type = types.attrsOf virtualHost;
        default = { };
        example = { "www.acme.example".security.xFrameOptions = "DENY"; };
        description = "Its virtual hosts, by name.";
      };
    });
    default = { };
    example = {
      site-main-b7ea262 = {
        uid = 40001;
        hostenv = { userName = "site-main-b7ea262"; organisation = "acme"; project = "site"; };
      };
    };
    description = ''
      The enabled environments on this node, by user name, as {file}`plan.json` declares them. The plan sets this; a
      node may override a part of it.
    '';
  };
}
