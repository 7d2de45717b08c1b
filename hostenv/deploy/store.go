package deploy

import (
	"context"
	"io"
)

// Store is Nix on this machine, and its way to the nodes' stores.
type Store interface {
	// Build builds profiles of one node with one process, and keeps them from
	// the garbage collector until the run is over. What it says goes to log.
	// The map has every profile that failed, by its name, and why; err is for
	// what keeps all of them from being built.
	Build(ctx context.Context, n Node, profiles []Profile, log io.Writer) (failed map[string]error, err error)
	// Sign signs the closures of paths.
	Sign(ctx context.Context, paths []string, log io.Writer) error
	// Push copies closures to a node. A node that trusts none of the signatures
	// refuses: the error is then an *[UnsignedError].
	Push(ctx context.Context, n Node, paths []string, log io.Writer) error
	// Diff compares closures; old paths are looked up on the node. It writes
	// nothing there.
	Diff(ctx context.Context, n Node, pairs []Pair) ([]Diff, error)
}

// A Pair is what a profile is and what it is to become. Old is "" for a new one.
type Pair struct{ Profile, Old, New string }

// A Diff says what a new closure changes.
type Diff struct {
	Profile string          `json:"profile"`
	Added   []PackageChange `json:"added,omitempty"`
	Removed []PackageChange `json:"removed,omitempty"`
	Changed []PackageChange `json:"changed,omitempty"`
	// Copy is how many bytes the node does not have yet, Paths how many paths.
	Copy  int64 `json:"bytesToCopy"`
	Paths int   `json:"pathsToCopy"`
	// Size is the new closure's, and Delta what it has more than the old one.
	Size  int64 `json:"closureSize"`
	Delta int64 `json:"closureDelta"`
}

// A PackageChange is one package; an added one has no old versions.
type PackageChange struct {
	Name string   `json:"name"`
	Old  []string `json:"old,omitempty"` // versions, sorted
	New  []string `json:"new,omitempty"`
}

// An UnsignedError says that a node refused what was pushed, for want of a
// signature that it trusts.
type UnsignedError struct {
	Node, Path string
}

func (e *UnsignedError) Error() string {
	return "node " + e.Node + " refuses " + e.Path + ", because it trusts none of its signatures"
}

// Hint says what to do.
func (e *UnsignedError) Hint() string {
	return "check that provider.nixSigning.trustedPublicKeys has the public key, that `mage plan` was run since then, and that the system of the node was deployed since then; until then, deploy with -remoteBuild"
}
