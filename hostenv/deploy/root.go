package deploy

import (
	"context"
	"slices"
	"strings"
)

// A Root is a link on a node that keeps a path from the garbage collector while a
// profile is deployed.
type Root struct {
	Profile string
	Kind    RootKind
	Path    string
}

// RootKind is what the path of a root is for.
type RootKind string

// The kinds of roots.
const (
	RootNext     RootKind = "next"     // the planned path
	RootPrevious RootKind = "previous" // the path to go back to
)

// RootKinds are all kinds of roots.
var RootKinds = []RootKind{RootNext, RootPrevious}

// Name is the name of the root on its node.
func (r Root) Name() string { return r.Profile + "-" + string(r.Kind) }

// roots returns the roots of a profile for its activation.
func (p *profileRun) roots() []Root {
	roots := []Root{{p.Name, RootNext, p.Path}}
	if p.decision.From != "" {
		roots = append(roots, Root{p.Name, RootPrevious, p.decision.From})
	}
	return roots
}

// A hold is what a session keeps from the node's garbage collector.
type hold struct {
	roots []Root
	paths []string
}

// hold keeps the planned paths of profiles with their closures, and those to go back to,
// from the node's garbage collector. On a node that cannot do so the run goes on
// without.
func (r *run) hold(ctx context.Context, n *nodeRun, list []*profileRun, closure []string) error {
	h := hold{paths: slices.Clone(closure)}
	for _, p := range list {
		for _, root := range p.roots() {
			h.roots = append(h.roots, root)
			h.paths = append(h.paths, root.Path)
		}
		if n.RemoteBuild && p.Derivation != "" {
			h.paths = append(h.paths, p.Derivation)
		}
	}
	slices.Sort(h.paths)
	h.paths = slices.Compact(h.paths)
	session, err := n.open(ctx, r)
	if err == nil {
		err = session.Hold(ctx, h.roots, h.paths)
	}
	if err == nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.held = append(n.held, h)
		return nil
	}
	if ctx.Err() != nil {
		return nil // the step that follows ends for the same reason
	}
	return r.finding(n, finding(Warning, FindingNoRoots,
		"do not collect garbage on the node while it is deployed to; `nix-daemon --stdio` must work for "+n.User+" there",
		"node %s: what is copied is not kept from the garbage collector: %v", n.Name, err))
}

// release removes the roots of settled profiles, and of those that the plan does not
// have any more. The next run removes what it cannot remove.
func (r *run) release(ctx context.Context, n *nodeRun) {
	names := map[string]bool{}
	for _, name := range n.seen().Roots {
		names[name] = true
	}
	for _, h := range n.held {
		for _, root := range h.roots {
			names[root.Name()] = true
		}
	}
	var gone []string
	for name := range names {
		if !r.needs(n, name) {
			gone = append(gone, name)
		}
	}
	if len(gone) == 0 {
		return
	}
	slices.Sort(gone)
	if session, err := n.open(ctx, r); err == nil {
		_ = session.Release(ctx, gone)
	}
}

// needs reports whether a node must keep the root of a name: its profile is not
// settled, or is not part of the run.
func (r *run) needs(n *nodeRun, name string) bool {
	profile := profileOf(name)
	if p := n.profile(profile); p != nil {
		return !p.isSettled() || p.unknown.Load()
	}
	return slices.ContainsFunc(r.planned[n.Name], func(p Profile) bool { return p.Name == profile })
}

// profileOf returns the profile of a root's name.
func profileOf(name string) string {
	for _, kind := range RootKinds {
		if profile, ok := strings.CutSuffix(name, "-"+string(kind)); ok {
			return profile
		}
	}
	return name
}
