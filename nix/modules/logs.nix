# Logs: logrotate's check reads nginx's folder, which belongs to nginx only after nginx
# has started.
{ config, lib, ... }:
{
  systemd.services.logrotate-checkconf = lib.mkIf (config.services.logrotate.enable && config.services.nginx.enable) {
    after = [ "nginx.service" ];
  };
}
