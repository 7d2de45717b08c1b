# Logs: logrotate's own check reads nginx's folder, which is nginx's only once
# nginx has started.
{ config, lib, ... }:
{
  systemd.services.logrotate-checkconf = lib.mkIf (config.services.logrotate.enable && config.services.nginx.enable) {
    after = [ "nginx.service" ];
  };
}
