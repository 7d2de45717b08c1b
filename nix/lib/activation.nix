# The scripts that activate a profile on its node, see activation/frame.sh.
#
#   coreutils, sed  the folders of their programs, with a slash at the end, or ""
#                   for those in the node's PATH
let
  inherit (import ./strings.nix) quote;
  fill = import ./fill.nix;
  paths = import ./paths.nix;

  framed = { name, scope, logs, coreutils, what }:
    fill ./activation/failed-units.sh { }
    + what
    + fill ./activation/frame.sh { inherit scope logs; keep = "20"; name = quote name; coreutils = quote coreutils; };
in
{
  # environment: that of the environment's user.
  environment = { user, environment, coreutils }:
    let said = attribute: quote (environment.hostenv.${attribute} or ""); in
    framed {
      name = user;
      scope = "--user";
      logs = paths.userLogs;
      inherit coreutils;
      what = fill ./activation/environment.sh {
        inherit user coreutils;
        uid = toString environment.uid;
        stateDir = said "stateDir";
        dataDir = said "dataDir";
        cacheDir = said "cacheDir";
      };
    };

  # system: that of root. `config` is the NixOS configuration's.
  system = { config, coreutils, sed }:
    let loader = config.boot.loader or { }; in
    framed {
      name = "system";
      scope = "--system";
      logs = paths.systemLogs;
      inherit coreutils;
      what = fill ./activation/system.sh {
        inherit sed;
        loader = if loader.systemd-boot.enable or false then quote "${loader.efi.efiSysMountPoint}/loader/loader.conf" else "";
      };
    };
}
