package targets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/drive"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/remote"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/report"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Leftovers lists what former environments left on nodes, and removes it.
//
// If an environment is removed, renamed or moved to another node, its home, its
// profile and its folders below /run/hostenv stay. -remove shows what would be
// removed; with -yes it is removed.
//
// Exit codes: 0 after success; 1 after an error; 4 if the plan is older than the
// state; 5 if a deploy is running.
func Leftovers(ctx context.Context,
	node *string, // only these nodes: names and patterns, separated by commas
	remove *string, // only what these users left: NAME or NAME.UID, separated by commas
	yes *bool, // remove it
	json *bool, // print JSON, one object a line
	out *string, // the generated folder, default generated
) error {
	r := lookRun{folder: openFolder(out, false), json: value(json, false),
		selection: deploy.Selection{Nodes: list(node), Profiles: []string{deploy.SystemProfile}}}
	return r.run(map[string]*string{"-node": node, "-remove": remove}, func() error {
		if value(yes, false) && len(list(remove)) == 0 {
			return problem.New("-yes", "has no effect without -remove", "name what to remove: -remove=NAME")
		}
		return r.look(ctx, func(ctx context.Context, p *drive.Plan, selected []deploy.Node, config *remote.Config) error {
			return r.leftovers(ctx, p, selected, config, list(remove), value(yes, false))
		})
	})
}

// leftovers lists leftovers, or removes those of some users.
func (r *lookRun) leftovers(ctx context.Context, p *drive.Plan, selected []deploy.Node, config *remote.Config, remove []string, yes bool) error {
	nodes, found := remote.New(config), leftoversOf(p)
	seen, refused := deploy.Survey(ctx, nodes, selected, found.Ask)
	wrong := refused
	// A node that does not answer has one status, for its system.
	for _, s := range seen {
		if s.Standing == deploy.StandingUnreachable && !reported(s, refused) {
			wrong = errors.Join(wrong, problem.WithHint(errors.New(s.Detail), "check that it runs and that ssh reaches it, or name the other nodes: -node="))
		}
	}
	all := found.All()
	wrong = errors.Join(wrong, found.Outdated())
	if len(remove) == 0 {
		if len(all) > 0 || wrong == nil {
			wrong = errors.Join(r.showLeftovers(all, "nothing is left over"), wrong)
		}
		return wrong
	}
	// A node that did not answer may have leftovers of the same name.
	if wrong != nil {
		return wrong
	}
	picked, err := deploy.PickLeftovers(all, remove)
	if err != nil {
		return err
	}
	if err := r.showLeftovers(picked, ""); err != nil {
		return err
	}
	if !yes {
		if !r.json {
			fmt.Fprintln(stdout(), "nothing was removed; -yes removes it, and no backup is made of it")
		}
		return nil
	}
	for _, l := range picked {
		i := slices.IndexFunc(selected, func(n deploy.Node) bool { return n.Name == l.Node })
		if err := deploy.RemoveLeftover(ctx, nodes, selected[i], deploy.OpenOptions{Holder: drive.Holder()}, l); err != nil {
			return err
		}
		if !r.json {
			fmt.Fprintf(stdout(), "removed what %s left on %s\n", l.User, l.Node)
		}
	}
	return nil
}

// leftoversOf returns an inquiry for data that belong to no environment of the
// plan or the state.
func leftoversOf(p *drive.Plan) *deploy.Leftovers {
	return &deploy.Leftovers{Plan: p.Document, State: p.State}
}

// showLeftovers prints leftovers, or a text if there are none.
func (r *lookRun) showLeftovers(all []deploy.Leftover, none string) error {
	if !r.json && len(all) == 0 {
		fmt.Fprintln(stdout(), none)
	}
	type line struct {
		Leftover deploy.Leftover `json:"leftover"`
		Node     string          `json:"node"`
	}
	lines := make([]line, len(all))
	for i, l := range all {
		lines[i] = line{l, l.Node}
	}
	return printAll(r, lines, func(w io.Writer, _ []line) error { return report.Leftovers(w, all) })
}

// leftOver prints leftovers below the output of `mage status`.
func (r *lookRun) leftOver(all []deploy.Leftover) error {
	if len(all) == 0 {
		return nil
	}
	if !r.json {
		fmt.Fprintln(stdout(), "\nFormer environments left this behind; `mage leftovers -remove=NAME` removes it:")
	}
	return r.showLeftovers(all, "")
}
