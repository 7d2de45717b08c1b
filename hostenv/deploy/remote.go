package deploy

import (
	"context"
	"fmt"
	"time"
)

// Remote opens sessions with nodes.
type Remote interface {
	// Open connects to a node once, takes the node's deploy lock if how.Lock is
	// set, and observes the node. The lock ends with the connection: it is free
	// within a second after this process ends.
	//
	// The error is an *[UnreachableError], a *[HostKeyError], a *[LockedError], or
	// another one for any other failure.
	Open(ctx context.Context, n Node, how OpenOptions) (Session, error)
}

// OpenOptions change how a session is opened.
type OpenOptions struct {
	Lock     bool          // whether to take the deploy lock
	LockWait time.Duration // how long to wait for another deploy, 0 not at all
	Holder   string        // the name of this run for others that wait: "alice@ci run 20261123-..."
	// Waiting is called once if another run holds the lock and Open waits for it.
	Waiting func(*LockedError)
}

// A Session is one ssh connection to a node. It is safe for concurrent use; the node
// answers one request after the other.
type Session interface {
	// Observation returns the observation of Open.
	Observation() Observation
	// Observe observes the node again.
	Observe(ctx context.Context) (Observation, error)
	// Restore makes path the active path of a profile again, and activates it. It
	// goes by the path, not by a generation.
	Restore(ctx context.Context, p Profile, path string) error
	// Remove removes the link of an environment's profile whose first activation
	// failed, so that the path does not count as active.
	Remove(ctx context.Context, p Profile) error
	// Keep makes the node record the plan that it gets, and the users of its
	// environments that this plan holds back. It refuses to replace the record of a plan
	// with a higher serial unless lower is true. The session must hold the lock.
	Keep(ctx context.Context, plan PlanRecord, held []string, lower bool) error
	// Record makes the node keep a deployment beside its newest ones. The session must
	// hold the lock.
	Record(ctx context.Context, d Deployment) error
	// Deployments returns the deployments that the node keeps, the oldest first.
	Deployments(ctx context.Context) ([]Deployment, error)
	// Room returns which of paths the node's store lacks, and what its file systems have
	// free.
	Room(ctx context.Context, paths []string) (Room, error)
	// Hold makes roots, and keeps paths from the node's garbage collector until the
	// session ends: those that the node has, and those that arrive later. A root lasts
	// until Release. The session must hold the lock.
	Hold(ctx context.Context, roots []Root, paths []string) error
	// Release removes roots by their names. One that does not exist is not an error.
	Release(ctx context.Context, names []string) error
	// Run runs a command as a user of the node and returns its output. The command
	// gets the arguments unchanged, and input as its stdin.
	Run(ctx context.Context, user string, input []byte, argv ...string) (stdout []byte, err error)
	// Lost is closed when the connection ends without Close.
	Lost() <-chan struct{}
	Close() error
}

// An Observation is the state that a node reports.
type Observation struct {
	OS          string   `json:"os"`  // ID of os-release(5): nixos
	Nix         string   `json:"nix"` // the version of Nix, "" if there is none
	TrustedKeys []string `json:"trustedKeys,omitempty"`
	TrustsUser  bool     `json:"trustsUser,omitempty"` // whether Nix takes unsigned paths from the deploy user
	// Disks are the file systems of the folders that a deploy needs, by folder.
	Disks map[string]Disk `json:"disks,omitempty"`
	// Boot is the folder to which the boot loader copies kernels, "" for none. Kernels
	// are the names of those there, and the store paths of those in use.
	Boot    string   `json:"boot,omitempty"`
	Kernels []string `json:"kernels,omitempty"`
	// Roots are the names of the roots that deploys left, see [Root.Name].
	Roots []string `json:"roots,omitempty"`
	// ProcessesHidden is true if the deploy user cannot see the processes of other
	// users (hidepid), and so not their activations.
	ProcessesHidden bool `json:"processesHidden,omitempty"`
	// ListsLeftovers is true if the node's system can list leftovers.
	ListsLeftovers bool `json:"listsLeftovers,omitempty"`
	// HostKey is the public key in the node's ssh_host_ed25519_key.pub. ssh prefers
	// this key; sshd may not use the keys in other files.
	HostKey string `json:"hostKey,omitempty"`
	// Printed is what the deploy user's shell prints at a log-in without a terminal.
	Printed string `json:"printed,omitempty"`
	// Sudo is why sudo does not let the deploy user activate a profile, "" if it does or
	// if that is unknown.
	Sudo string `json:"sudo,omitempty"`
	// Plan is the last plan that the node recorded, the zero value for none.
	Plan     PlanRecord          `json:"plan,omitzero"`
	Profiles map[string]Observed `json:"profiles"` // by the name of the profile
}

// Observed is the state of one profile.
type Observed struct {
	Active string `json:"active,omitempty"` // the store path, "" if there is no profile
	// Linked is the target of the link if that is not a store path.
	Linked string `json:"linked,omitempty"`
	// Activated is the store path whose activation succeeded by the node's record.
	// It is "" if an activation is running, has failed, or was not by a deploy.
	Activated string `json:"activated,omitempty"`
	// Running is the system that the node runs, if it differs from the active path.
	// Only the system's profile has it.
	Running string `json:"running,omitempty"`
	Temp    Temp   `json:"temp,omitempty"`
	// TempOpenAt is the open folder, or the link: the folder itself or one above it.
	TempOpenAt string `json:"tempOpenAt,omitempty"`
	// Previous is the path that an activation which no run has settled would go back to,
	// "" if there is none.
	Previous string `json:"previous,omitempty"`
	// DeployRs is true if the active path has the activate-rs of deploy-rs.
	// RolledBack is true if the active generation is not the newest.
	DeployRs   bool `json:"deployRs,omitempty"`
	RolledBack bool `json:"rolledBack,omitempty"`
	// UID is the UID of the environment's user on the node, 0 if there is no user.
	UID int `json:"uid,omitempty"`
	// UIDOwner is the user that has the planned UID, "" if it is free.
	UIDOwner string `json:"uidOwner,omitempty"`
	// UIDNames are the environments that had that UID on the node.
	UIDNames []string `json:"uidNames,omitempty"`
	// HomeOwner is the owner of the user's folder in /home, 0 if there is none or it
	// belongs to root.
	HomeOwner int `json:"homeOwner,omitempty"`
	// Activating are the running activations of this profile: process and store
	// path.
	Activating []string `json:"activating,omitempty"`
}

// Temp is the state of the folder of deploy-rs's canary.
type Temp string

// The states of a canary's folder.
const (
	TempPrivate Temp = "private" // of customers, only its owner can write to it
	TempMissing Temp = "missing" // it does not exist
	TempOpen    Temp = "open"    // other users can write to it
	TempLinked  Temp = "linked"  // it, or one above, is a symbolic link
	TempUnknown Temp = ""        // the deploy user cannot see it
)

// An UnreachableError reports that there is no connection to a node: no route, a
// refused connection, a time-out, a name that does not resolve. It is never an answer
// of the node.
type UnreachableError struct {
	Node  string
	Cause string // the text of ssh
}

func (e *UnreachableError) Error() string { return "node " + e.Node + " is unreachable: " + e.Cause }

const reachable = "check that it runs and that ssh reaches it"

// Hint returns what to do.
func (e *UnreachableError) Hint() string {
	return reachable + ", or leave it out: -exclude=" + e.Node + " or -skipOffline"
}

// A HostKeyError reports that a node shows another host key than the plan has.
type HostKeyError struct{ Node, Cause string }

func (e *HostKeyError) Error() string {
	return "node " + e.Node + " shows another host key than the plan names: " + e.Cause
}

// Hint returns what to do.
func (e *HostKeyError) Hint() string {
	return fmt.Sprintf("if you installed the node anew, put its new key (`ssh-keyscan -t ed25519 HOST`, compared on the node's console) into provider.nodes.%q.hostKey and run `mage plan`; otherwise another machine may answer in its place", e.Node)
}

// A LockedError reports that another deploy holds the lock of a node.
type LockedError struct {
	Node, Holder string
	Since        time.Time
}

func (e *LockedError) Error() string {
	text := "node " + e.Node + " is being deployed to"
	if e.Holder != "" {
		text += " by " + e.Holder
	}
	if !e.Since.IsZero() {
		text += " since " + e.Since.UTC().Format(time.RFC3339)
	}
	return text
}

// Hint returns what to do.
func (e *LockedError) Hint() string {
	return "wait for it: -lockWait=10m. The lock ends with the ssh connection that holds it"
}
