# The committed plan, plan.json in the generated folder. Nodes, environments and the
# deploy specification are made of it.
#
#   generatedPath  the folder, provider.generatedPath
#
# Returns { name; ours; document; }. `ours` is false if there is no plan, or one of
# the legacy generator, which `mage plan` replaces; then `document` is an error, and
# also if the plan is not one that `mage plan` writes.
{ generatedPath }:
let
  fail = import ./fail.nix;
  inherit (import ./strings.nix) contains hasPrefix hasSuffix;
  formatVersion = 1;

  # For errors: generated/plan.json, not the store path.
  name = "${baseNameOf (builtins.unsafeDiscardStringContext (toString generatedPath))}/plan.json";
  file = generatedPath + "/plan.json";
  exists = builtins.pathExists file;

  refuse = problem: hint: fail { subject = name; inherit problem hint; };
  rewrite = "run `mage plan`, which writes it anew";
  restore = "restore it (git checkout HEAD -- ${name}), and run `mage plan`, which writes it anew";

  # Nix before 2.20 shows an error of fromJSON without its context. So we look for the
  # frequent mistakes ourselves: an unfinished merge, and a part of the file.
  text = builtins.readFile file;
  length = builtins.stringLength text;
  end = builtins.replaceStrings [ "\n" " " ] [ "" "" ] (builtins.substring (if length < 16 then 0 else length - 16) (-1) text);
  parsed =
    if ! exists then
      refuse "it does not exist, or git does not know it"
        "run `mage plan`, then `git add ${name}`: a flake sees only files that git knows"
    else if contains "\n<<<<<<< " "\n${text}" then refuse "a git conflict marker (<<<<<<<) is in it" restore
    else if ! (hasPrefix "{" text && hasSuffix "}" end) then refuse "it is not a whole JSON object" restore
    else builtins.addErrorContext "while reading ${name}, which `mage plan` writes" (builtins.fromJSON text);

  show = value: if value == null then "missing" else builtins.toJSON value;

  # An environment under the name of another one would get its user and files.
  misnamed = builtins.filter
    (user: parsed.environments.${user}.hostenv.userName or null != user)
    (builtins.attrNames parsed.environments);
  ofMisnamed = user:
    "environments.${builtins.toJSON user}.hostenv.userName is ${show (parsed.environments.${user}.hostenv.userName or null)}";

in
{
  inherit name;

  ours = exists && parsed.formatVersion or null == formatVersion;

  document =
    if parsed.formatVersion or null != formatVersion then
      refuse "its formatVersion is ${show (parsed.formatVersion or null)}, and only ${toString formatVersion} is known"
        "run `mage plan`, of the same version as the input hostenv-provider"
    else if ! builtins.isAttrs (parsed.environments or null) then refuse "environments is missing" rewrite
    else if misnamed != [ ] then
      refuse "${builtins.concatStringsSep "; " (map ofMisnamed misnamed)}: it must equal the environment's name" rewrite
    else import ./plan-types.nix name parsed;
}
