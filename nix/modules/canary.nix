# A virtual host by which the activation of a system finds out whether nginx answers,
# see nix/lib/activation/health.sh. It gives every visitor an empty answer.
{ config, lib, ... }:
{
  config = lib.mkIf config.services.nginx.enable {
    # The next activation reads it: this system's nginx should answer.
    environment.etc."hostenv/canary".text = "${import ../lib/canary.nix}\n";

    services.nginx.virtualHosts.${import ../lib/canary.nix} = {
      locations."/" = {
        return = "204";
        extraConfig = "access_log off;";
      };
    };
  };
}
