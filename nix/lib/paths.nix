# Where things are on a node. The NixOS modules that make these folders and the
# deploy specification that uses them both read them here.
#
# hostenv/deploy has some of them as well: `mage deploy` and `mage leftovers` ask a
# node for its profiles without evaluating Nix, and errors name the folders of logs.
# hostenv/deploy/testdata/paths.json is tested with both.
{
  # The generations of an environment. deploy-rs's own choice moves between
  # per-user/ and the user's home, by what exists on the node. Below
  # /nix/var/nix/profiles garbage collection finds its roots directly, and root and
  # the deploy user read which generation is active without entering a customer's
  # home, which can be private or not mounted. It stands beside `profile`, which is
  # the user's own `nix-env`.
  profile = user: "/nix/var/nix/profiles/per-user/${user}/hostenv";

  # The generations of the system, where NixOS keeps them.
  systemProfile = "/nix/var/nix/profiles/system";

  # The connection's tempPath unless the plan says another: for a machine that is
  # made from these modules without a plan.
  temp = "/run/hostenv/deploy";

  # Where deploy-rs leaves its canary, the file whose removal confirms an
  # activation. Its name is predictable, so no other customer may write where it
  # is: root's lies in the connection's tempPath, a user's in a folder of its own
  # below.
  userTemp = connection: user: "${connection.tempPath}/${user}";

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
