package deploy

import (
	"context"
	"io"
)

// Store is Nix on this machine, with access to the nodes' stores.
type Store interface {
	// Build builds profiles with one process, and keeps them from the garbage collector
	// until the run ends: on a node that builds for itself, or on this machine if on is
	// nil, for any number of nodes. Its output goes to log.
	//
	// It calls known, never twice at once, with what it knows of profiles, by
	// [Profile.Key]: nil for one that is built, which it reports while it builds others, or
	// why it cannot be built. The error is that of all profiles that it did not report.
	Build(ctx context.Context, on *Node, profiles []Profile, log io.Writer, known func(map[string]error)) error
	// Sign signs the closures of paths.
	Sign(ctx context.Context, paths []string, log io.Writer) error
	// Closure returns the closures of those paths that this machine's store has.
	Closure(ctx context.Context, paths []string) ([]string, error)
	// Measure returns what paths of this machine's store take on a node's disk, at most.
	// It does not count on a file system that compresses, or on a store that links equal
	// files.
	Measure(ctx context.Context, paths []string) (Size, error)
	// Kernels returns the files of a system in this machine's store that a boot loader may
	// copy, none if the store does not have the system.
	Kernels(system string) []Kernel
	// Push copies closures to a node. If the node trusts none of the signatures, the
	// error is an *[UnsignedError], and if the connection broke off a *[CutOffError]: the
	// node keeps the paths that arrived.
	Push(ctx context.Context, n Node, paths []string, log io.Writer) error
	// Diff compares closures. It reads the old paths on the node, and does not write
	// there.
	Diff(ctx context.Context, n Node, pairs []Pair) ([]Diff, error)
}

// A Pair has the old and the new path of a profile. Old is "" for a new profile.
type Pair struct{ Profile, Old, New string }

// A Diff lists what a new closure changes.
type Diff struct {
	Profile string          `json:"profile"`
	Added   []PackageChange `json:"added,omitempty"`
	Removed []PackageChange `json:"removed,omitempty"`
	Changed []PackageChange `json:"changed,omitempty"`
	// Copy and Paths count the bytes and the paths that the node lacks.
	Copy  int64 `json:"bytesToCopy"`
	Paths int   `json:"pathsToCopy"`
	// Size is the size of the new closure, and Delta the growth over the old one.
	Size  int64 `json:"closureSize"`
	Delta int64 `json:"closureDelta"`
}

// A PackageChange is one package; an added one has no old versions.
type PackageChange struct {
	Name string   `json:"name"`
	Old  []string `json:"old,omitempty"` // versions, sorted
	New  []string `json:"new,omitempty"`
}

// An UnsignedError reports that a node refused a path because it trusts none of its
// signatures.
type UnsignedError struct {
	Node, Path string
}

func (e *UnsignedError) Error() string {
	return "node " + e.Node + " refuses " + e.Path + ", because it trusts none of its signatures"
}

// Hint returns what to do.
func (e *UnsignedError) Hint() string {
	return "check that provider.nixSigning.trustedPublicKeys has the public key, that `mage plan` was run since then, and that the system of the node was deployed since then; until then, deploy with -remoteBuild"
}
