# The scripts that activate a profile on its node, see activation/frame.sh.
#
#   coreutils, sed  the folders of their programs, with a slash at the end, or ""
#                   for those in the node's PATH
#   limit           how long the activation may take, in seconds
let
  inherit (builtins) concatMap concatStringsSep;
  inherit (import ./strings.nix) quote;
  fill = import ./fill.nix;
  paths = import ./paths.nix;

  framed = { name, scope, logs, coreutils, limit, part }:
    fill ./activation/failed-units.sh { }
    + fill ./activation/processes.sh { }
    + fill ./activation/go-back.sh { }
    + part
    + fill ./activation/frame.sh { inherit scope logs; keep = "20"; name = quote name; coreutils = quote coreutils; limit = toString limit; };
in
{
  # environment: the script of an environment, which runs as its user.
  environment = { user, environment, coreutils, limit }:
    let
      # A folder that is null is unset.
      folder = attribute:
        let value = environment.hostenv.${attribute} or null; in quote (if value == null then "" else value);
    in
    framed {
      name = user;
      scope = "--user";
      logs = paths.userLogs;
      inherit coreutils limit;
      part = fill ./activation/environment.sh {
        inherit user coreutils;
        uid = toString environment.uid;
        runtime = paths.runtime user;
        restoring = "3600"; # hostenv/deploy has it too
        stateDir = folder "stateDir";
        dataDir = folder "dataDir";
        cacheDir = folder "cacheDir";
      };
    };

  # system: the script of the system, which runs as root. `config` is that of NixOS.
  system = { config, coreutils, sed, limit }:
    let
      loader = config.boot.loader or { };
      openssh = config.services.openssh or { };
      reachable = import ./reachable.nix;

      ports = openssh.ports or [ ];
      sockets =
        if openssh.listenAddresses or [ ] == [ ] then map (port: "127.0.0.1 ${toString port}") ports
        else concatMap (l: map (port: "${reachable l.addr} ${toString port}") (if l.port or null == null then ports else [ l.port ])) openssh.listenAddresses;
    in
    framed {
      name = "system";
      scope = "--system";
      logs = paths.systemLogs;
      inherit coreutils limit;
      part = fill ./activation/health.sh {
        sshd = concatStringsSep " " (map quote (if openssh.enable or false then sockets else [ ]));
      } + fill ./activation/system.sh {
        inherit sed;
        loader = if loader.systemd-boot.enable or false then quote "${loader.efi.efiSysMountPoint}/loader/loader.conf" else "";
      };
    };
}
