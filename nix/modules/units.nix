# hostenv-units: what a deploy runs as an environment's user (sudo.nix) when the
# environment's first version does not stay.
{ config, lib, pkgs, ... }:
{
  config = lib.mkIf (config.hostenv.deploy.sudoCommands != { }) {
    environment.systemPackages = [ (pkgs.writeShellScriptBin "hostenv-units" (builtins.readFile ./hostenv-units.sh)) ];
  };
}
