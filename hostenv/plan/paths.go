package plan

// The paths of a deploy on a node. Compute writes them into the plan, and readers
// of the plan take them from there.

// systemProfile is the link to the generations of the NixOS system.
const systemProfile = "/nix/var/nix/profiles/system"

// defaultTempPath is the folder of deploy-rs's canary of the system: the file
// whose removal confirms an activation. The name of the canary is predictable, so
// customers must not be able to write to the folder.
const defaultTempPath = "/run/hostenv/deploy"

// profileLink is the link to the generations of an environment. deploy-rs by
// itself chooses between per-user/ and the user's home, by what exists on the
// node. Below /nix/var/nix/profiles the garbage collector finds its roots
// directly. Root and the deploy user can read the active generation there and need
// no access to a customer's home, which can be private or not mounted. The link
// beside it, `profile`, belongs to the user's own `nix-env`.
//
// nix/lib/paths.nix has the same path, for programs of a node that run as any
// user; nix/modules/deploy.nix refuses a plan that differs.
func profileLink(user string) string { return "/nix/var/nix/profiles/per-user/" + user + "/hostenv" }

// profiles returns the paths of the environments' profiles. Each environment has its
// own folder for deploy-rs's canary, and other customers cannot write to it.
func (c *computation) profiles(connections map[string]Connection) map[string]Profile {
	profiles := make(map[string]Profile, len(c.placed))
	for _, e := range c.placed {
		connection, ok := connections[e.node]
		if !ok { // all environments of the node are disabled
			connection = c.inv.Provider.connection(e.node)
		}
		profiles[e.UserName] = Profile{
			ProfileLink: profileLink(e.UserName), TempPath: connection.TempPath + "/" + e.UserName,
			ActivationTimeout: c.inv.Provider.ActivationTimeout.of(e.EvaluatedEnvironment),
		}
	}
	return profiles
}
