# hostenv-move: what a deploy runs as an environment's user (sudo.nix), when the
# environment moves from this node or to it. docs/deploy-moves.md tells when.
{ config, lib, pkgs, ... }:
let
  inherit (import ../lib/deploy.nix) paths;
in
{
  # Every node that is deployed to: the first environment may come from another.
  config = lib.mkIf (config.hostenv.deploy.sudoCommands != { }) {
    environment.systemPackages = [
      (pkgs.writeShellScriptBin "hostenv-move" (lib.replaceStrings
        [ "@profile@" "@runtimeDir@" ]
        [ (paths.profile "$user") "/run/hostenv/user/$user" ]
        (builtins.readFile ./hostenv-move.sh)))
    ];
  };
}
