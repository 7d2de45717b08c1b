package targets

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/report"
	"github.com/woolwichweb/hostenv-provider/hostenv/nix"
)

// NodesBuild builds a node's system and its environments, and deploys nothing.
//
// The node is one of the plan, several with commas between, or all. It prints
// what was built, with the size of all that belongs to it; no links are left.
// All that fails is named. It ends with 4 if the plan is older than the state.
func NodesBuild(ctx context.Context,
	node string,
	out *string, // the generated folder, default generated
) error {
	f := openFolder(out)
	defer withhold()()
	if err := usage(nil); err != nil {
		return f.fail(err)
	}
	return f.fail(f.build(ctx, node))
}

func (f *folder) build(ctx context.Context, nodes string) error {
	wanted, err := f.buildables(nodes)
	if err != nil {
		return err
	}
	show, done := progress()
	runner, err := withTokens(ctx, &nix.Runner{Dir: ".", Progress: show})
	if err != nil {
		done()
		return err
	}
	built, err := runner.Build(ctx, wanted)
	done()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "BUILT\tCLOSURE\tSTORE PATH")
	for _, b := range built {
		fmt.Fprintf(w, "%s\t%s\t%s\n", b.Buildable, report.Size(b.ClosureSize), b.Path)
	}
	return w.Flush()
}

// buildables are the systems and environments of nodes, by the plan, which
// must be that of the state.
func (f *folder) buildables(nodes string) ([]nix.Buildable, error) {
	s, _, err := f.State()
	if err != nil {
		return nil, err
	}
	document, _, err := f.Plan(s)
	if err != nil {
		return nil, err
	}
	planned := document.Nodes()
	wanted := strings.Split(nodes, ",")
	// Mage gives a required argument whatever follows the target, so that -all
	// comes here, too. A node may be called all.
	if nodes == "-all" || nodes == "all" && !slices.Contains(planned, "all") {
		wanted = planned
	}
	var all []nix.Buildable
	for _, node := range wanted {
		if !slices.Contains(planned, node) {
			return nil, hinted(fmt.Errorf("the plan has no node %q", node), "its nodes are "+strings.Join(planned, ", ")+"; all builds them all")
		}
		system := document.System(node)
		all = append(all, nix.Buildable{Kind: nix.NodeSystem, Name: node, System: system})
		for _, user := range document.Running(node) {
			all = append(all, nix.Buildable{Kind: nix.Environment, Name: user, System: system})
		}
	}
	return all, nil
}
