# Paths on a node. The plan has those of profiles, and of the folders where deploy-rs
# confirms activations.
#
# hostenv/deploy has some of these too; hostenv/deploy/testdata/paths.json tests both.
rec {
  # The folder with each user's folder of profiles.
  profiles = "/nix/var/nix/profiles/per-user";

  # The profile of an environment, for programs that run as any user and know it by
  # $USER alone. ../modules/deploy.nix refuses a plan that has another one.
  profile = user: "${profiles}/${user}/hostenv";

  # The generations of the system, where NixOS keeps them, and the connection's
  # tempPath: for a machine that is made from these modules without a plan.
  systemProfile = "/nix/var/nix/profiles/system";
  temp = "/run/hostenv/deploy";

  # The folders of the sockets between environments and the front door, and those of
  # one environment.
  runtimes = "/run/hostenv/user";
  upstreams = "/run/hostenv/nginx";
  runtime = user: "${runtimes}/${user}";
  upstream = user: "${upstreams}/${user}";

  # The folders that environments find as /tmp and /var/tmp.
  ownTmp = "/var/lib/hostenv/tmp";

  # The settings that nginx must be started with, and those that it was started with.
  frontDoor = "/etc/hostenv/nginx-unit";
  frontDoorStarted = "/run/hostenv/nginx-unit";

  # Logs of activations, one file each. The first is text of the user's shell.
  userLogs = "$XDG_STATE_HOME/hostenv/activation";
  systemLogs = "/var/log/hostenv/activation";
}
