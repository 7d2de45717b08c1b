# Where things are on a node. Of an environment's profile and of the folders where
# deploy-rs confirms an activation, the plan says where they are.
#
# hostenv/deploy has some of them as well, for errors name the folders of logs.
# hostenv/deploy/testdata/paths.json is tested with both.
{
  # The profile of an environment, for programs that run as any user and know it by
  # $USER alone. ../modules/deploy.nix refuses a plan that has another one.
  profile = user: "/nix/var/nix/profiles/per-user/${user}/hostenv";

  # The generations of the system, where NixOS keeps them, and the connection's
  # tempPath: for a machine that is made from these modules without a plan.
  systemProfile = "/nix/var/nix/profiles/system";
  temp = "/run/hostenv/deploy";

  # The sockets where an environment and the front door meet.
  runtime = user: "/run/hostenv/user/${user}";
  upstream = user: "/run/hostenv/nginx/${user}";

  # The settings that nginx must be started with, and those that it was started with.
  frontDoor = "/etc/hostenv/nginx-unit";
  frontDoorStarted = "/run/hostenv/nginx-unit";

  # Logs of activations, one file each. The first is text of the user's shell.
  userLogs = "$XDG_STATE_HOME/hostenv/activation";
  systemLogs = "/var/log/hostenv/activation";
}
