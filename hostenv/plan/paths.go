package plan

// Where a deploy finds things on a node. They are written into the plan, and
// readers of the plan take them from there.

// systemProfile is where NixOS keeps the generations of the system.
const systemProfile = "/nix/var/nix/profiles/system"

// defaultTempPath is where deploy-rs leaves its canary of the system, the file
// whose removal confirms an activation. Its name is predictable, so no customer
// may write there.
const defaultTempPath = "/run/hostenv/deploy"

// profileLink is where the generations of an environment are. deploy-rs's own
// choice moves between per-user/ and the user's home, by what exists on the node.
// Below /nix/var/nix/profiles garbage collection finds its roots directly, and
// root and the deploy user read which generation is active without entering a
// customer's home, which can be private or not mounted. It stands beside
// `profile`, which is the user's own `nix-env`.
//
// nix/lib/paths.nix has it as well, for programs of a node that run as any user;
// nix/modules/deploy.nix refuses a plan that differs.
func profileLink(user string) string { return "/nix/var/nix/profiles/per-user/" + user + "/hostenv" }

// tempPath is where deploy-rs leaves its canary of an environment: a folder of
// its own, into which no other customer can write.
func tempPath(c Connection, user string) string { return c.TempPath + "/" + user }
