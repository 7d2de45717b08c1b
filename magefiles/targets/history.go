package targets

import (
	"context"
	"errors"
	"fmt"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/drive"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/remote"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/report"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// History lists what was deployed, the newest first.
//
// It shows for each node of a deploy who deployed, when, which plan and commit, and the
// result for each profile that changed or failed. It asks the nodes, which keep the newest
// 100 deploys, also those of other machines; and it reads the journals in this checkout,
// which also have nodes that do not answer or are no longer in the plan.
//
// Exit codes: 0 after success, also if nodes do not answer; 1 after an error; 4 if the
// plan is older than the state.
func History(ctx context.Context,
	node *string, // only these nodes: names and patterns, separated by commas
	env *string, // only these environments, by user name or pattern; system for the systems
	json *bool, // print JSON, one object a line
	out *string, // the generated folder, default generated
) error {
	r := lookRun{folder: openFolder(out, false), json: value(json, false), selection: deploy.Selection{Nodes: list(node), Profiles: list(env)}}
	return r.run(map[string]*string{"-node": node, "-env": env}, func() error { return r.history(ctx) })
}

func (r *lookRun) history(ctx context.Context) error {
	p, err := drive.Read(ctx, r.Folder)
	if err != nil {
		return err
	}
	here, wrong := deploy.JournaledDeployments(r.Hidden("runs"))
	selected, err := r.asked(p.Nodes, here)
	if err != nil {
		return err
	}
	config, err := remote.Write(ctx, "", selected)
	if err != nil {
		return err
	}
	var there deploy.Deployments
	seen, err := deploy.Survey(ctx, remote.New(config), selected, there.Ask)
	wrong = errors.Join(wrong, err, config.Close())
	for _, s := range seen {
		if s.Standing == deploy.StandingUnreachable && !reported(s, err) {
			fmt.Fprintf(stderr(), "warning: %s\nhint: below are only its deploys from here; check that it runs and that ssh reaches it\n", problem.Line(s.Detail))
		}
	}
	all := deploy.SelectDeployments(deploy.MergeDeployments(there.All(), here), r.selection)
	if len(all) == 0 && !r.json {
		fmt.Fprintln(stdout(), "no deploy is recorded")
	}
	return errors.Join(printAll(r, all, report.Deployments), wrong)
}

// asked returns the nodes to ask. A node that the plan no longer has may be in a journal.
func (r *lookRun) asked(planned []deploy.Node, here []deploy.Deployment) ([]deploy.Node, error) {
	selection := deploy.Selection{Profiles: []string{deploy.SystemProfile}}
	var unknown problem.List
	for _, pattern := range r.selection.Nodes {
		one := deploy.Selection{Nodes: []string{pattern}}
		if _, err := one.Of(planned); err == nil {
			selection.Nodes = append(selection.Nodes, pattern)
		} else if len(deploy.SelectDeployments(here, one)) == 0 {
			unknown.Add(err)
		}
	}
	if err := unknown.Err(); err != nil || len(r.selection.Nodes) > len(selection.Nodes) && len(selection.Nodes) == 0 {
		return nil, err
	}
	return selection.Of(planned)
}
