package targets

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/drive"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/remote"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/report"
)

// Leftovers lists what environments that are gone left on nodes, and removes it.
//
// Homes, profiles and folders below /run/hostenv of environments that were
// removed, that moved to another node or were renamed stay where they are. With
// -remove it tells what it would remove, and does so with -yes. It ends with 4
// where the plan is older than the state, and 5 where a deploy is at work.
func Leftovers(ctx context.Context,
	node *string, // only these nodes: names and patterns, separated by commas
	remove *string, // what these users left, separated by commas: NAME, or NAME.UID
	yes *bool, // remove it
	json *bool, // print JSON, a line for each
	out *string, // the generated folder, default generated
) error {
	r := lookRun{folder: openFolder(out), json: value(json, false),
		selection: deploy.Selection{Nodes: list(node), Profiles: []string{deploy.SystemProfile}}}
	if err := usage(map[string]*string{"-node": node, "-remove": remove}); err != nil {
		return r.fail(err)
	}
	defer withhold()()
	return r.fail(r.leftovers(ctx, list(remove), value(yes, false)))
}

func (r *lookRun) leftovers(ctx context.Context, remove []string, yes bool) (err error) {
	if yes && len(remove) == 0 {
		return hinted(errors.New("-yes has no effect without -remove"), "name what is to be removed: -remove=NAME")
	}
	p, err := drive.Read(r.Folder)
	if err != nil {
		return err
	}
	selected, err := r.selection.Of(p.Nodes)
	if err != nil {
		return err
	}
	config, err := remote.Write(ctx, "", selected)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, config.Close()) }()
	nodes, found := remote.New(config), leftoversOf(p)
	seen, wrong := deploy.Survey(ctx, nodes, selected, found.Ask)
	// Of a node that does not answer there is one status, its system's.
	for _, s := range seen {
		if s.Standing == deploy.StandingUnreachable {
			wrong = errors.Join(wrong, hinted(errors.New(s.Detail), "see that it runs and that ssh gets there, or name the others: -node="))
		}
	}
	all := found.All()
	if len(remove) == 0 {
		if err := r.showLeftovers(all, "nothing is left over"); err != nil {
			return err
		}
		return errors.Join(wrong, found.Deaf())
	}
	// What could not be looked at may have another of the same name.
	if err := errors.Join(wrong, found.Deaf()); err != nil {
		return err
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
			fmt.Println("nothing was removed; -yes removes it, and no backup is made of it")
		}
		return nil
	}
	for _, l := range picked {
		i := slices.IndexFunc(selected, func(n deploy.Node) bool { return n.Name == l.Node })
		if err := deploy.RemoveLeftover(ctx, nodes, selected[i], deploy.OpenOptions{Holder: drive.Holder()}, l); err != nil {
			return err
		}
		if !r.json {
			fmt.Printf("removed what %s left on %s\n", l.User, l.Node)
		}
	}
	return nil
}

// leftoversOf asks for leftovers, and knows them by the plan and the state.
func leftoversOf(p *drive.Plan) *deploy.Leftovers {
	return &deploy.Leftovers{Plan: p.Document, State: p.State}
}

// showLeftovers prints them, or what is said of none.
func (r *lookRun) showLeftovers(all []deploy.Leftover, none string) error {
	if !r.json {
		if len(all) == 0 {
			fmt.Println(none)
		}
		return report.Leftovers(os.Stdout, all)
	}
	for _, l := range all {
		if err := printJSON(map[string]any{"node": l.Node, "leftover": l}); err != nil {
			return err
		}
	}
	return nil
}

// leftOver prints what `mage status` has to say of leftovers.
func (r *lookRun) leftOver(all []deploy.Leftover) error {
	if len(all) == 0 {
		return nil
	}
	if !r.json {
		fmt.Println("\nEnvironments that are gone left this behind; `mage leftovers -remove=NAME` removes it:")
	}
	return r.showLeftovers(all, "")
}
