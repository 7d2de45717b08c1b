# The committed plan, plan.json in the generated folder: what the nodes, the
# environments and the deploy specification are made from.
#
#   generatedPath  the folder, provider.generatedPath
#
# Gives { name; ours; document; }. `ours` is false while there is no plan, or one of
# the legacy generator, which `mage plan` replaces; `document` is an error then, and
# for a plan that `mage plan` does not write.
{ generatedPath }:
let
  fail = import ./fail.nix;
  formatVersion = 1;

  # For errors: generated/plan.json, not the store path.
  name = "${baseNameOf (builtins.unsafeDiscardStringContext (toString generatedPath))}/plan.json";
  file = generatedPath + "/plan.json";
  exists = builtins.pathExists file;

  refuse = problem: hint: fail { subject = name; inherit problem hint; };
  again = "run `mage plan`, which writes it anew";

  parsed =
    if exists then
      builtins.addErrorContext "while reading ${name}" (builtins.fromJSON (builtins.readFile file))
    else
      refuse "there is none, or git does not know of it"
        "run `mage plan`, then `git add ${name}`: a flake sees no files that git does not know";

  show = value: if value == null then "missing" else builtins.toJSON value;

  # An environment under another one's name would get its user, and its files.
  misnamed = builtins.filter
    (user: parsed.environments.${user}.hostenv.userName or null != user)
    (builtins.attrNames parsed.environments);
  ofMisnamed = user:
    "environments.${builtins.toJSON user}.hostenv.userName is ${show (parsed.environments.${user}.hostenv.userName or null)}";

in
{
  inherit name;

  ours = exists && builtins.isAttrs parsed && parsed.formatVersion or null == formatVersion;

  document =
    if ! builtins.isAttrs parsed then refuse "it is no object" again
    else if parsed.formatVersion or null != formatVersion then
      refuse "its formatVersion is ${show (parsed.formatVersion or null)}, and only ${toString formatVersion} is known"
        "run `mage plan`, of the same version as the input hostenv-provider"
    else if ! builtins.isAttrs (parsed.environments or null) then refuse "environments is missing" again
    else if misnamed != [ ] then
      refuse "${builtins.concatStringsSep "; " (map ofMisnamed misnamed)}: it is not the name that the environment stands under" again
    else import ./plan-types.nix name parsed;
}
