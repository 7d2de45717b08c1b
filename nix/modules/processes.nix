# Customers do not see each other's processes: neither in /proc nor by asking systemd.
#
# One setting of /proc holds for everything that runs on the node: sessions, services,
# activations, jobs. ProtectProc= would hold for the user managers alone, because a
# session by ssh or sudo is not in the manager's namespace. The group that still sees
# all is root's: services of root without the right to trace processes, such as logind,
# need it, and a switch does not restart logind into another group.
{ config, lib, pkgs, ... }:
let
  inherit (lib) attrNames concatMapStrings mkDefault mkIf mkOption types;
  inherit (config.hostenv) environments;
  cfg = config.hostenv.processes;

  # systemd tells every user the command lines of all units. The policy of a user is
  # decided after, and so against, the default that systemd sets for all. A rule must
  # name the interface, and refuses messages that name none as well.
  refused = { Manager = "GetUnitProcesses"; } // lib.genAttrs [ "Mount" "Scope" "Service" "Slice" "Socket" "Swap" ] (_: "GetProcesses");
  rules = lib.concatStrings (lib.mapAttrsToList
    (interface: member: ''
      <deny send_destination="org.freedesktop.systemd1" send_interface="org.freedesktop.systemd1.${interface}" send_member="${member}"/>
    '')
    refused);
  policy = pkgs.writeTextDir "share/dbus-1/system.d/hostenv.conf" ''
    <!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
    <busconfig>
    ${concatMapStrings (user: ''
      <policy user="${user}">
      ${rules}</policy>
    '') (attrNames environments)}</busconfig>
  '';
in
{
  options.hostenv.processes.hidden = mkOption {
    type = types.bool;
    default = true;
    example = false;
    description = ''
      Whether users see only their own processes. Root and members of its group see all: give a service that must see them,
      such as one that monitors processes, `SupplementaryGroups = [ "root" ]`.
    '';
  };

  config = {
    # A switch mounts /proc again, with these options, and with the same options for all
    # namespaces.
    boot.specialFileSystems."/proc".options = [ "hidepid=${if cfg.hidden then "2" else "0"}" "gid=0" ];

    services.dbus.packages = mkIf (cfg.hidden && environments != { }) [ policy ];

    users.users = mkIf cfg.hidden {
      # A deploy looks for activations that still run. Its user can become root anyway.
      ${config.hostenv.deploy.user} = mkIf (config.hostenv.deploy.user != "root" && ! environments ? ${config.hostenv.deploy.user}) { extraGroups = [ "root" ]; };
      # polkit looks up the process that asks.
      polkituser = mkIf config.security.polkit.enable { extraGroups = [ "root" ]; };
    };

    boot.kernel.sysctl = builtins.mapAttrs (_: mkDefault) {
      # The kernel's log has names and addresses of processes.
      "kernel.dmesg_restrict" = 1;
      # A process traces only its children.
      "kernel.yama.ptrace_scope" = 1;
      # In folders that all may write to: links and files of others lead nowhere.
      "fs.protected_symlinks" = 1;
      "fs.protected_hardlinks" = 1;
      "fs.protected_fifos" = 2;
      "fs.protected_regular" = 2;
    };
  };
}
