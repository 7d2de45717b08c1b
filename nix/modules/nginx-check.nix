# The front door's configuration is tested by nginx itself when the system is built.
{ config, lib, pkgs, ... }:
let
  cfg = config.hostenv.frontDoor;
  nginx = config.services.nginx;
  command = config.systemd.services.nginx.serviceConfig.ExecStart;
  named = builtins.match ".* -c '([^']*)'.*" command;

  # The file that nginx is started with. NixOS has no option for it.
  file =
    if nginx.enableReload then config.environment.etc."nginx/nginx.conf".source
    else builtins.appendContext (builtins.unsafeDiscardStringContext (lib.head named)) (builtins.getContext command);

  program = pkgs.writeShellScript "nginx-check" (import ../lib/fill.nix ./nginx-check.sh {
    path = lib.makeBinPath [ pkgs.coreutils pkgs.gnugrep pkgs.gnused pkgs.openssl ];
    nginx = "${nginx.package}/bin/nginx";
    config = "${file}";
    store = builtins.storeDir;
  });
in
{
  options.hostenv.frontDoor.check = lib.mkOption {
    type = lib.types.bool;
    default = true;
    example = false;
    description = ''
      Whether nginx tests its configuration when the system is built. A configuration with which nginx does not start then
      fails the build, and no node sees it.
    '';
  };

  config = lib.mkIf (nginx.enable && cfg.check && (nginx.enableReload || named != null)) {
    system.checks = [ (pkgs.runCommand "nginx-check" { } "${program}\ntouch $out\n") ];
  };
}
