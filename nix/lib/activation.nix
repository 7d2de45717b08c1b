# The scripts that activate a profile on its node, see activation/frame.sh.
#
#   coreutils, sed  the folders of their programs, with a slash at the end, or ""
#                   for those in the node's PATH
#   limit           how long the activation may take, in seconds
let
  inherit (builtins) concatMap concatStringsSep filter head match;
  inherit (import ./strings.nix) quote;
  fill = import ./fill.nix;
  paths = import ./paths.nix;

  framed = { name, scope, logs, coreutils, limit, part }:
    fill ./activation/failed-units.sh { }
    + fill ./activation/processes.sh { }
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
      nginx = config.services.nginx or { };
      canary = import ./canary.nix;

      # The address by which the node itself reaches a socket on all addresses.
      local = address: { "0.0.0.0" = "127.0.0.1"; "*" = "127.0.0.1"; "[::]" = "::1"; "[::0]" = "::1"; "::" = "::1"; }.${address} or (unbracketed address);
      unbracketed = address: let inner = match "\\[(.*)]" address; in if inner == null then address else head inner;

      ports = openssh.ports or [ ];
      sockets =
        if openssh.listenAddresses or [ ] == [ ] then map (port: "127.0.0.1 ${toString port}") ports
        else concatMap (l: map (port: "${local l.addr} ${toString port}") (if l.port or null == null then ports else [ l.port ])) openssh.listenAddresses;
      plain = filter (l: ! (l.proxyProtocol or false || l.ssl or false)) (nginx.defaultListen or [ ]);
      front =
        if plain != [ ] then local (head plain).addr
        else local (head (nginx.defaultListenAddresses or [ ] ++ [ "0.0.0.0" ]));
    in
    framed {
      name = "system";
      scope = "--system";
      logs = paths.systemLogs;
      inherit coreutils limit;
      part = fill ./activation/health.sh {
        sshd = concatStringsSep " " (map quote (if openssh.enable or false then sockets else [ ]));
        canary = concatStringsSep " " (map quote (
          if nginx.enable or false && nginx.virtualHosts or { } ? ${canary} then [ front (toString (nginx.defaultHTTPListenPort or 80)) canary ] else [ ]
        ));
      } + fill ./activation/system.sh {
        inherit sed;
        loader = if loader.systemd-boot.enable or false then quote "${loader.efi.efiSysMountPoint}/loader/loader.conf" else "";
      };
    };
}
