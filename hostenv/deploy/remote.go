package deploy

import (
	"context"
	"fmt"
	"time"
)

// Remote is the other side of ssh.
type Remote interface {
	// Open connects to a node once, takes its deploy lock if asked to, and
	// observes it. The lock is the node's: it is held for as long as the
	// connection is, and free within a second of the death of this process.
	//
	// The error is an *[UnreachableError], a *[HostKeyError], a *[LockedError],
	// or says what else went wrong.
	Open(ctx context.Context, n Node, how OpenOptions) (Session, error)
}

// OpenOptions say how a node is opened.
type OpenOptions struct {
	Lock     bool          // false only looks
	LockWait time.Duration // how long to wait for another deploy, 0 not at all
	Holder   string        // names the holder of the lock to other runs: "alice@ci run 20261123-..."
	// Waiting is called once if another has the lock and it is waited for.
	Waiting func(*LockedError)
}

// A Session is one ssh connection to a node. It may be used by several at once:
// requests are answered in turn.
type Session interface {
	// Observation is what Open saw.
	Observation() Observation
	// Observe looks again.
	Observe(ctx context.Context) (Observation, error)
	// Restore makes path the active one of a profile once more, and activates
	// it, by path and not by generation.
	Restore(ctx context.Context, p Profile, path string) error
	// Remove takes away the link of an environment's profile whose first
	// activation failed, so that it is not taken for active.
	Remove(ctx context.Context, p Profile) error
	// Run runs a command as a user of the node and returns its output. The
	// arguments arrive as they are, whatever is in them; input is its stdin.
	Run(ctx context.Context, user string, input []byte, argv ...string) (stdout []byte, err error)
	// Lost is closed when the connection ends by itself.
	Lost() <-chan struct{}
	Close() error
}

// An Observation is what a node says of itself.
type Observation struct {
	OS          string   `json:"os"`  // ID of os-release(5): nixos
	Nix         string   `json:"nix"` // its version, "" where there is none
	TrustedKeys []string `json:"trustedKeys,omitempty"`
	TrustsUser  bool     `json:"trustsUser,omitempty"` // whether Nix takes unsigned paths from the deploy user
	// Free is how many bytes are free where Nix keeps its store and profiles, nil
	// where that is not known.
	Free *int64 `json:"free,omitempty"`
	// ProcessesHidden says that the deploy user sees no others' processes
	// (hidepid), and so no activation of theirs.
	ProcessesHidden bool `json:"processesHidden,omitempty"`
	// ListsLeftovers says that the node's system can tell what environments left.
	ListsLeftovers bool `json:"listsLeftovers,omitempty"`
	// HostKey is the public key in the node's ssh_host_ed25519_key.pub, which ssh
	// prefers: other files may be of keys that sshd does not use.
	HostKey  string              `json:"hostKey,omitempty"`
	Profiles map[string]Observed `json:"profiles"` // by the name of the profile
}

// Observed is what a node says of one profile.
type Observed struct {
	Active string `json:"active,omitempty"` // the store path, "" where there is no profile
	// Linked is where the link itself leads if that is no store path.
	Linked string `json:"linked,omitempty"`
	// Activated is the store path whose activation the node knows to have ended
	// well, "" where one is at work, failed, or was not done by a deploy.
	Activated string `json:"activated,omitempty"`
	// Running is the system that the node runs where that is not the one of the
	// active path; of the system's profile alone.
	Running string `json:"running,omitempty"`
	Temp    Temp   `json:"temp,omitempty"`
	// TempOpenAt is the folder that makes it open, or the link: itself or one above.
	TempOpenAt string `json:"tempOpenAt,omitempty"`
	// DeployRs is whether the active path holds activate-rs, as what deploy-rs
	// brings does; RolledBack whether the newest generation is not the active one.
	DeployRs   bool `json:"deployRs,omitempty"`
	RolledBack bool `json:"rolledBack,omitempty"`
	// UID is that of the environment's user on the node, 0 if there is no such user.
	UID int `json:"uid,omitempty"`
	// UIDOwner is the user that has the planned UID, "" if it is free.
	UIDOwner string `json:"uidOwner,omitempty"`
	// UIDNames are the names of environments that the node has known by that UID.
	UIDNames []string `json:"uidNames,omitempty"`
	// HomeOwner is the UID that the folder of the user's name in /home belongs to,
	// 0 where there is none or it is root's.
	HomeOwner int `json:"homeOwner,omitempty"`
	// Activating are the activations of this profile at work now: process and
	// store path.
	Activating []string `json:"activating,omitempty"`
}

// Temp says what is known of the folder where deploy-rs puts its canary.
type Temp string

// What a canary's folder is.
const (
	TempPrivate Temp = "private" // there, and no customer but its owner can write to it
	TempMissing Temp = "missing" // not there
	TempOpen    Temp = "open"    // others can write to it
	TempLinked  Temp = "linked"  // it, or one above, is a symbolic link
	TempUnknown Temp = ""        // it cannot be looked at
)

// An UnreachableError says that a node could not be connected to: no route, a
// refused connection, a time-out, a name that does not resolve. It is never an
// answer of the node.
type UnreachableError struct {
	Node  string
	Cause string // ssh's own words
}

func (e *UnreachableError) Error() string { return "node " + e.Node + " is unreachable: " + e.Cause }

const reachable = "check that it runs and that ssh reaches it"

// Hint says what to do.
func (e *UnreachableError) Hint() string {
	return reachable + ", or leave it out: -exclude=" + e.Node + " or -skipOffline"
}

// A HostKeyError says that a node showed another host key than the provider
// names.
type HostKeyError struct{ Node, Cause string }

func (e *HostKeyError) Error() string {
	return "node " + e.Node + " shows another host key than the plan names: " + e.Cause
}

// Hint says what to do.
func (e *HostKeyError) Hint() string {
	return fmt.Sprintf("if you installed the node anew, put its new key (`ssh-keyscan -t ed25519 HOST`, compared on the node's console) into provider.nodes.%q.hostKey and run `mage plan`; otherwise another machine may answer in its place", e.Node)
}

// A LockedError says that another deploy is at work on a node.
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

// Hint says what to do.
func (e *LockedError) Hint() string {
	return "wait for it: -lockWait=10m. The lock ends with the ssh connection that holds it"
}
