package deploy

import (
	"context"
	"fmt"
	"io"
	"math"
	"path"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// The folders of a node whose file systems every deploy needs.
const (
	FolderStore    = "/nix/store"
	FolderDatabase = "/nix/var/nix"
)

// A Disk is a file system of a node.
type Disk struct {
	ID    int64 `json:"id"`    // of the device: folders with the same one share their space
	Free  int64 `json:"free"`  // in bytes, for users that are not root
	Files int64 `json:"files"` // how many more it can have, -1 if there is no fixed number
}

// Room is what a node lacks and has free.
type Room struct {
	Lacking []string        // store paths
	Disks   map[string]Disk // by folder
}

// A Size is what store paths take on a disk.
type Size struct {
	Bytes int64
	Files int64
}

// A Kernel is a file that a boot loader copies: a kernel or an initial ramdisk.
type Kernel struct {
	Path  string // in the store
	Bytes int64
}

const (
	// leastFree is the space that an activation may need: a generation is a link, and
	// Nix's database grows by some pages. On a full disk deploy-rs cannot set a
	// profile, and may go back one generation too far.
	leastFree = 8 << 20
	// leastFiles is the same for inodes.
	leastFiles = 1000
	// databaseBytes is by how much Nix's database with its journal grows for a path:
	// the journal holds each page that a registration changes, and shrinks when the last
	// connection ends.
	databaseBytes = 64 << 10
	// A boot loader writes a menu for each generation.
	leastBoot = 1 << 20
	// littleFree is when the run mentions that it cannot know what a node builds.
	littleFree = 2 << 30
)

// block is the size in which file systems give out space.
const block = 4096

// free returns the space that Nix has on a node, false if that is unknown.
func (o Observation) free() (bytes int64, known bool) {
	for _, folder := range []string{FolderStore, FolderDatabase} {
		if d, ok := o.Disks[folder]; ok && (!known || d.Free < bytes) {
			bytes, known = d.Free, true
		}
	}
	return bytes, known
}

// full reports whether the node had too little room for an activation when it was last
// observed.
func (n *nodeRun) full() bool {
	free, known := n.seen().free()
	return known && free < leastFree
}

const makeRoom = "make room on the node, as root: nix-collect-garbage --delete-older-than 14d"

func noRoom(node string, o Observation) error {
	free, _ := o.free()
	return problem.New("node "+node, fmt.Sprintf("has no room left: %d KiB are free below /nix, and an activation may need %d", free>>10, leastFree>>10), makeRoom)
}

// An Addition is what a deploy adds to a node.
type Addition struct {
	Paths   int  // that the node lacks
	Size    Size // of these
	Kernels []Kernel
}

// Short returns a finding for each file system of a node that has too little room for an
// addition. n has the profiles of the run. A folder whose file system the node does not
// report counts as large enough.
func Short(n Node, o Observation, a Addition) []*Finding {
	// Folders in the order in which they name a file system.
	folders := []string{FolderStore, FolderDatabase}
	needs := map[string]Size{}
	add := func(folder string, s Size) {
		if !slices.Contains(folders, folder) {
			folders = append(folders, folder)
		}
		needs[folder] = needs[folder].plus(s)
	}
	add(FolderStore, a.Size)
	add(FolderDatabase, Size{int64(a.Paths)*databaseBytes + leastFree, leastFiles})
	for _, p := range n.Profiles {
		add(path.Dir(p.Link), Size{2 * block, 2})
	}
	if o.Boot != "" && len(a.Kernels) > 0 {
		add(o.Boot, Size{leastBoot, 0})
		for _, k := range a.Kernels {
			if !o.hasKernel(k) {
				add(o.Boot, Size{k.Bytes, 1})
			}
		}
	}
	total := map[int64]Size{}
	for _, folder := range folders {
		if d, ok := o.Disks[folder]; ok {
			total[d.ID] = total[d.ID].plus(needs[folder])
		}
	}
	var found []*Finding
	for _, folder := range folders {
		d, ok := o.Disks[folder]
		need, left := total[d.ID]
		if !ok || !left {
			continue
		}
		delete(total, d.ID) // once for each file system
		what := ""
		switch {
		case need.Bytes > d.Free:
			what = fmt.Sprintf("the deploy needs %s, and %s are free", mebibytes(need.Bytes, math.Ceil), mebibytes(d.Free, math.Floor))
		case d.Files >= 0 && need.Files > d.Files:
			what = fmt.Sprintf("the deploy needs %d inodes, and %d are free", need.Files, d.Files)
		default:
			continue
		}
		fix := makeRoom
		switch folder {
		case FolderStore:
			what += fmt.Sprintf("; it lacks %d store paths of %s", a.Paths, mebibytes(a.Size.Bytes, math.Ceil))
		case o.Boot:
			what += "; the boot loader copies a new kernel or initial ramdisk there before it removes an old one"
			fix = "remove old entries from the boot menu, as root on the node: nix-collect-garbage --delete-older-than 14d && /run/current-system/bin/switch-to-configuration boot"
		}
		found = append(found, finding(Failure, FindingDiskShort, fix, "node %s has too little room in %s: %s", n.Name, folder, what))
	}
	return found
}

func (s Size) plus(more Size) Size { return Size{s.Bytes + more.Bytes, s.Files + more.Files} }

// mebibytes writes a size with one digit after the point, so rounded that what is
// needed is not less and what is free is not more.
func mebibytes(bytes int64, round func(float64) float64) string {
	return fmt.Sprintf("%.1f MiB", round(float64(bytes)/(1<<20)*10)/10)
}

// hasKernel reports whether the boot loader has a file already. It names its copy by the
// file's store path, with other characters between the parts.
func (o Observation) hasKernel(k Kernel) bool {
	base, _, _ := strings.Cut(strings.TrimPrefix(k.Path, FolderStore+"/"), "/")
	return slices.ContainsFunc(o.Kernels, func(name string) bool {
		return strings.HasPrefix(strings.TrimPrefix(name, FolderStore+"/"), base)
	})
}

// A shortError reports that a node has too little room.
type shortError struct{ found []*Finding }

func (e *shortError) Error() string {
	var all []string
	for _, f := range e.found {
		all = append(all, f.Message)
	}
	return strings.Join(all, "\n")
}

// Hint returns what to do.
func (e *shortError) Hint() string {
	var all []string
	for _, f := range e.found {
		if !slices.Contains(all, f.Hint) {
			all = append(all, f.Hint)
		}
	}
	return strings.Join(all, "; ")
}

// room compares what profiles add to their node with what it has free now. It counts
// what this machine's store has, and returns the closure.
func (r *run) room(ctx context.Context, n *nodeRun, list []*profileRun) (found []*Finding, closure []string, err error) {
	if closure, err = r.Store.Closure(ctx, paths(list)); err != nil || len(closure) == 0 {
		return nil, nil, err
	}
	session, err := n.open(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	room, err := session.Room(ctx, closure)
	if err != nil {
		return nil, closure, err
	}
	add := Addition{Paths: len(room.Lacking)}
	if add.Size, err = r.Store.Measure(ctx, room.Lacking); err != nil {
		return nil, closure, err
	}
	of := n.Node
	of.Profiles = nil
	for _, p := range list {
		of.Profiles = append(of.Profiles, p.Profile)
		if p.IsSystem() {
			add.Kernels = append(add.Kernels, r.Store.Kernels(p.Path)...)
		}
	}
	seen := n.seen()
	seen.Disks = room.Disks
	return Short(of, seen, add), closure, nil
}

// findRoom returns the findings about the nodes' room that can be known before
// anything is built. A deploy goes on without the nodes that have too little: see
// refuseShort.
func (r *run) findRoom(ctx context.Context) []Event {
	found := make([][]*Finding, len(r.nodes))
	var group errgroup.Group
	group.SetLimit(maxSessions)
	for i, n := range r.nodes {
		list := n.pending()
		if !n.reached || len(list) == 0 {
			continue
		}
		group.Go(func() error {
			found[i] = r.shortNow(ctx, n, list)
			return nil
		})
	}
	_ = group.Wait() // it returns no error
	var events []Event
	for i, n := range r.nodes {
		for _, f := range found[i] {
			events = append(events, Event{Type: TypeFinding, Node: n.Name, Finding: f})
		}
	}
	return events
}

// shortNow returns what is known before the build about the room that profiles have on a
// node.
func (r *run) shortNow(ctx context.Context, n *nodeRun, list []*profileRun) []*Finding {
	found, closure, err := r.room(ctx, n, list)
	if len(found) > 0 {
		n.short = &shortError{found}
	}
	if r.mode == Deploy {
		found = nil
	}
	switch free, known := n.seen().free(); {
	case ctx.Err() != nil:
	case err != nil:
		found = append(found, finding(Warning, FindingDiskUnknown, "`nix-store --check-validity` must work for "+n.User+" on the node",
			"node %s: whether it has room is unknown: %v", n.Name, err))
	case n.RemoteBuild && len(closure) == 0 && known && free < littleFree:
		found = append(found, finding(Warning, FindingDiskUnknown, "check that this is enough, or build here: without -remoteBuild and provider.nodes.<node>.remoteBuild",
			"node %s builds for itself, so what it will need is unknown; %s are free", n.Name, mebibytes(free, math.Floor)))
	}
	return found
}

// refuseShort ends the profiles of the nodes that have too little room for what is built
// already, so that nothing is built for them. The other nodes go on.
func (r *run) refuseShort() error {
	for _, n := range r.nodes {
		if n.short == nil {
			continue
		}
		for _, p := range n.pending() {
			if err := r.fail(p, ReasonNoRoom, p.active(), n.short, ""); err != nil {
				return err
			}
		}
	}
	return nil
}

// previewRoom records what a push would refuse, unless the preflight found so already.
func (r *run) previewRoom(ctx context.Context, n *nodeRun, list []*profileRun) error {
	if n.short != nil || n.RemoteBuild {
		return nil //nolint:nilerr // the preflight records n.short
	}
	found, _, _ := r.room(ctx, n, list) // the comparison of closures reports an error
	for _, f := range found {
		if err := r.finding(n, f); err != nil {
			return err
		}
	}
	return nil
}

// copyTo copies the closures of profiles, if the node has room, and keeps them there from
// the garbage collector before the first byte arrives.
func (r *run) copyTo(ctx context.Context, n *nodeRun, list []*profileRun, log io.Writer) error {
	kept := false // a new session keeps what the one before kept
	return r.again(ctx, n, func() error {
		if _, err := n.open(ctx, r); err != nil {
			return err
		}
		found, closure, err := r.room(ctx, n, list)
		if len(found) > 0 {
			return &shortError{found}
		}
		if err != nil {
			// The copy fails for the same reason, or for want of room.
			_, _ = fmt.Fprintf(log, "whether the node has room is unknown: %v\n", err)
		}
		if !kept {
			if err := r.hold(ctx, n, list, closure); err != nil {
				return err
			}
			kept = true
		}
		return r.Store.Push(ctx, n.Node, paths(list), log)
	})
}
