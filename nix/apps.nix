# The flake's apps for one platform:
#
#   apps = import ./apps.nix { inherit pkgs; package = packages.hostenv-provider; };
#
#   nix run .#plan -- --dry-run
#   nix run .#hostenv-provider -- state list
#
# They run in the folder where they are called: the provider's.
{ pkgs, package }:
let
  program = "${package}/bin/hostenv-provider";
  app = program: description: { type = "app"; inherit program; meta = { inherit description; }; };

  # target "dns-gate": a script that runs the target with the app's flags.
  target = name: description: app
    "${pkgs.writeShellScript "hostenv-provider-${name}" ''exec ${program} ${name} "$@"''}"
    description;

  whole = app program package.meta.description;
in
{
  default = whole;
  hostenv-provider = whole;
  plan = target "plan" "Turn the provider's flake into generated/state.json and plan.json";
  dns-gate = target "dns-gate" "Turn off the certificates that Let's Encrypt would not issue";
  deploy = target "deploy" "Deploy the plan to the nodes";
}
