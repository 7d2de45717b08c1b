# hostenv-move: what a deploy runs as an environment's user (sudo.nix) when the
# environment moves to another node. docs/deploy-moves.md says when.
{ config, lib, pkgs, ... }:
let
  paths = import ../lib/paths.nix;
in
{
  # Every node that is deployed to: the first environment can come from another.
  config = lib.mkIf (config.hostenv.deploy.sudoCommands != { }) {
    environment.systemPackages = [
      (pkgs.writeShellScriptBin "hostenv-move" (import ../lib/fill.nix ./hostenv-move.sh {
        profile = paths.profile "$user";
        runtime = paths.runtime "$user";
      }))
    ];
  };
}
