# The environments on this node, copied from the plan: data that the other modules
# read. The plan sets NixOS's own options for them in nodes.<node>.
#
# The option is one value. Its parts are what customers wrote: as definitions, NixOS
# would import a path among them, and take a set with _type for more than data.
{ lib, ... }:
let
  inherit (import ../lib/nginx.nix) quote;
  inherit (import ../lib/typed.nix) boolean default listOf optional path problems record seconds set setOf string type uid user;
  fail = import ../lib/fail.nix;

  # A word of nginx.conf: with one of more than about 4000 bytes, nginx refuses the
  # configuration of the whole node.
  headerValue = type "text without control characters, of at most 3800 bytes as nginx quotes it"
    (value: builtins.isString value && builtins.stringLength (quote value) <= 3800 && builtins.match "[^[:cntrl:]]*" value != null);
  word = type "a word of letters, digits and . _ -" (value: builtins.isString value && builtins.stringLength value <= 100 && builtins.match "[A-Za-z0-9._-]+" value != null);

  virtualHost = record {
    allowIndexing = optional boolean;
    hsts = optional boolean;
    security = optional (record {
      csp = optional headerValue;
      cspMode = optional (type "\"enforce\" or \"report-only\"" (value: value == "enforce" || value == "report-only"));
      cspReportTo = optional word;
      reportTo = optional headerValue;
      referrerPolicy = optional word;
      xFrameOptions = optional word;
      xContentTypeOptions = optional boolean;
      hsts = optional boolean;
    });
    extraConfig = optional string;
    locations = default (setOf (record { extraConfig = optional string; })) { };
  };

  environments = setOf (record {
    inherit uid;
    formerNames = default (listOf user) [ ];
    profileLink = path;
    tempPath = path;
    activationTimeout = seconds;
    hostenv = record {
      userName = string;
      organisation = string;
      project = string;
      hostname = optional string;
      backupsRepoHost = optional string;
    };
    virtualHosts = default (setOf virtualHost) { };
  });
in
{
  options.hostenv.environments = lib.mkOption {
    type = lib.mkOptionType {
      name = "environments";
      description = "set of environments";
      descriptionClass = "noun";
      check = builtins.isAttrs;
      merge = loc: defs:
        let
          value = lib.mergeOneOption loc defs;
          found = problems loc environments value;
        in
        if found == [ ] then environments.complete value
        else fail { subject = (builtins.head defs).file; problem = lib.concatStringsSep "; " found; hint = "run `mage plan`, which writes the environments"; };
    };
    default = { };
    example = {
      site-main-b7ea262 = {
        uid = 40001;
        profileLink = "/nix/var/nix/profiles/per-user/site-main-b7ea262/hostenv";
        tempPath = "/run/hostenv/deploy/site-main-b7ea262";
        activationTimeout = 900;
        hostenv = { userName = "site-main-b7ea262"; organisation = "acme"; project = "site"; };
        virtualHosts."www.acme.example".security.xFrameOptions = "DENY";
      };
    };
    description = ''
      The enabled environments on this node, by user name, as {file}`plan.json` has them: `uid` (also the GID), `formerNames`
      (user names before a rename, by which the node finds user and home), `profileLink`, `tempPath` and `activationTimeout` of the deploy, the
      identity `hostenv` and the `virtualHosts`. The plan sets this.
    '';
  };
}
