# A module for a customer's hostenv project: `hostenv deploy` is deprecated, because
# the provider's next deploy replaces what it deployed.
#
#   imports = [ "${inputs.hostenv-provider}/nix/modules/hostenv-cli-deploy.nix" ];
#   hostenv.deploy = "off";
#
# hostenv-wrapper/deploy.sh runs before the project's sub-command deploy; all other
# sub-commands stay as they are. Options before `deploy` are hostenv's, and are not
# passed on.
{ config, lib, ... }:
{
  options.hostenv.deploy = lib.mkOption {
    type = lib.types.enum [ "warn" "forward" "off" ];
    default = "forward";
    example = "off";
    description = ''
      The effect of `hostenv deploy`: `warn` prints that it is deprecated and
      runs it; `forward` runs `hostenv-provider deploy` if that is installed and
      the current folder is a provider's; `off` refuses. The environment variable
      HOSTENV_DEPLOY overrides it.
    '';
  };

  # Declare the option again, to change the sub-command after all definitions are
  # merged: a definition would replace hostenv's own, or a service's would replace it.
  options.hostenv.subCommands = lib.mkOption {
    apply = subCommands:
      if ! subCommands ? deploy then subCommands
      else subCommands // {
        deploy = subCommands.deploy // {
          exec = helpers: ''
            ${import ../lib/fill.nix ../hostenv-wrapper/deploy.sh { mode = config.hostenv.deploy; }}
            hostenv_deploy "$@"
            ${subCommands.deploy.exec helpers}'';
          description = "${subCommands.deploy.description or ""}\nDeprecated: push your branch, and let the provider deploy it.";
        };
      };
  };
}
