package deploy

import "time"

// A Node is a machine of the plan, with the settings of its connection.
type Node struct {
	Name       string // in the plan; also its alias in the ssh_config that is generated
	Address    string // the host name or IP address that ssh connects to
	Port       int    // 0 for ssh's default
	User       string // the user that logs in
	HostKey    string // "ssh-ed25519 AAAA...", "" if the provider sets none
	SSHOptions []string
	Platform   string // "x86_64-linux"
	PublicName string // <node>.<hostenvHostname>, which gets the requests to its virtual hosts
	TempPath   string // of the system's profile; those of environments are below it

	Activations int // how many environments are activated at once, 0 for 8

	RemoteBuild                 bool
	AutoRollback, MagicRollback bool

	Profiles []Profile // the system first, then by user
}

// A Profile is the unit of activation: the system of a node, or one environment.
type Profile struct {
	Node string
	Name string // "system", or the environment's user
	User string // the user that activates it: root, or the environment's user
	UID  int    // of the environment's user in the plan; 0 for the system
	// Formerly are the former names of the environment's user.
	Formerly []string
	Link     string // the profile on the node, such as /nix/var/nix/profiles/system
	Temp     string // the folder of deploy-rs's canary
	// Limit is how long its activation may take, 0 for no limit. The node ends one that
	// takes longer.
	Limit time.Duration

	Path       string // the planned store path
	Derivation string // the .drv that makes it
	Broken     error  // of the evaluation; then there is no Path
}

// SystemProfile is the name of the profile of a node's system.
const SystemProfile = "system"

// IsSystem reports whether p is the system of a node.
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
