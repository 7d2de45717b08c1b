package targets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/closure"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/drive"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/report"
	"github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// NodesBuild builds a node's system and its environments, and deploys nothing.
//
// NODE is a node of the plan, several with commas between, or all. It builds the
// profiles that deploy would build, on this machine, and prints each with the size
// of its closure. It makes no links. It reports all builds that fail.
//
// Exit codes: 0 after success; 1 after an error; 4 if the plan is older than the
// state.
func NodesBuild(ctx context.Context,
	node string,
	evaluate *string, // full: evaluate everything anew, with the whole flake
	out *string, // the generated folder, default generated
) error {
	f := openFolder(out, false)
	anew, err := evaluatesAnew(evaluate)
	if err != nil {
		return f.fail(err)
	}
	return f.run(nil, func() error { return f.build(ctx, node, anew) })
}

func (f *folder) build(ctx context.Context, nodes string, anew bool) (err error) {
	p, err := drive.Read(ctx, f.Folder)
	if err != nil {
		return err
	}
	selection, err := named(p.Nodes, nodes)
	if err != nil {
		return err
	}
	runner, err := withTokens(ctx, &nix.Runner{Dir: f.root, Anew: anew})
	if err != nil {
		return err
	}
	roots, err := os.MkdirTemp("", "hostenv-roots-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(roots)) }()
	store := &closure.Store{Nix: runner, Roots: roots}
	selected, err := p.Evaluate(ctx, store, selection)
	if err != nil {
		return err
	}
	paths, err := build(ctx, store, selected)
	if err != nil {
		return err
	}
	closures, err := runner.Closures(ctx, paths)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(stdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "BUILT\tCLOSURE\tSTORE PATH")
	for _, n := range selected {
		for _, profile := range n.Profiles {
			fmt.Fprintf(w, "%s\t%s\t%s\n", profile.Key(), report.Size(closures.Size(closures.Closure(profile.Path))), profile.Path)
		}
	}
	return w.Flush()
}

// evaluatesAnew reads -evaluate.
func evaluatesAnew(flag *string) (bool, error) {
	if flag == nil {
		return false, nil
	}
	if *flag != "full" {
		return false, problem.New("-evaluate", fmt.Sprintf("is %q", *flag), "write -evaluate=full, or leave the flag out to evaluate what has changed")
	}
	return true, nil
}

// build builds all profiles of nodes on this machine, and returns their paths.
// The error holds every failure.
func build(ctx context.Context, store *closure.Store, nodes []deploy.Node) (paths []string, err error) {
	show, done := progress()
	defer done()
	var failures problem.List
	var whole []deploy.Profile
	for _, n := range nodes {
		for _, profile := range n.Profiles {
			if profile.Broken != nil {
				failures.Add(profile.Broken)
				continue
			}
			whole = append(whole, profile)
			paths = append(paths, profile.Path)
		}
	}
	show(doing(nix.Event{Phase: nix.Building, Subject: fmt.Sprintf("%d profiles", len(whole))}))
	failed := map[string]error{}
	err = store.Build(ctx, nil, whole, io.Discard, func(known map[string]error) { maps.Copy(failed, known) })
	if err != nil {
		return nil, err
	}
	for _, profile := range whole {
		failures.Add(failed[profile.Key()])
	}
	return paths, failures.Err()
}

// named selects the nodes of a command line.
func named(planned []deploy.Node, text string) (deploy.Selection, error) {
	var known []string
	for _, n := range planned {
		if len(n.Profiles) > 0 {
			known = append(known, n.Name)
		}
	}
	// Mage passes the word after the target as the required argument, also -all.
	// A node may have the name all.
	if text == "-all" || text == "all" && !slices.Contains(known, "all") {
		return deploy.Selection{Nodes: known}, nil
	}
	wanted := strings.Split(text, ",")
	var unknown problem.List
	for _, node := range wanted {
		if !slices.Contains(known, node) {
			unknown.Addf("the plan", "its nodes are "+strings.Join(known, ", ")+"; all builds them all", "has no node %q", node)
		}
	}
	return deploy.Selection{Nodes: wanted}, unknown.Err()
}
