package deploy

// A Node is a machine of the plan, and how it is reached.
type Node struct {
	Name       string // in the plan; also its alias in the ssh_config that is generated
	Address    string // the host name or IP address that ssh connects to
	Port       int    // 0 for ssh's default
	User       string // the user that logs in
	HostKey    string // "ssh-ed25519 AAAA...", "" where the provider names none
	SSHOptions []string
	Platform   string // "x86_64-linux"
	PublicName string // <node>.<hostenvHostname>, where its virtual hosts are asked
	TempPath   string // of the system's profile; an environment's lies below it

	RemoteBuild                 bool
	AutoRollback, MagicRollback bool

	Profiles []Profile // the system first, then by user
}

// A Profile is what is activated by itself: the system of a node, or one
// environment.
type Profile struct {
	Node string
	Name string // "system", or the environment's user
	User string // as whom it is activated: root, or the environment's user
	UID  int    // of the environment's user by the plan; 0 for the system
	// Formerly are the names that the environment's user had before.
	Formerly []string
	Link     string // the profile on the node, such as /nix/var/nix/profiles/system
	Temp     string // where deploy-rs puts its canary

	Path       string // the store path that the plan leads to
	Derivation string // the .drv that makes it
	Broken     error  // why there is no path: its evaluation failed
}

// SystemProfile is the name of the profile of a node's system.
const SystemProfile = "system"

// IsSystem reports whether it is a node's system.
func (p Profile) IsSystem() bool { return p.Name == SystemProfile }

// Key names a profile in the journal and on the terminal: node/profile.
func (p Profile) Key() string { return p.Node + "/" + p.Name }

// Profile returns the profile of a name.
func (n Node) Profile(name string) (Profile, bool) {
	for _, p := range n.Profiles {
		if p.Name == name {
			return p, true
		}
	}
	return Profile{}, false
}
