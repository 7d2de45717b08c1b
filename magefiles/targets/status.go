package targets

import (
	"context"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/closure"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/drive"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/remote"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/report"
	"github.com/woolwichweb/hostenv-provider/hostenv/nix"
)

// Status compares every node and environment with the plan.
//
// It asks the nodes which store path is active, and shows for each profile whether
// that is the planned one: in-sync, behind, diverged, not-ours or unreachable. It
// also shows the certificates that the nodes lack, and why. It changes nothing and
// takes no lock.
//
// Exit codes: 0 if everything is in sync; 1 after an error; 2 if something is not
// in sync or the order of a certificate failed; 4 if the plan is older than the
// state.
func Status(ctx context.Context,
	node *string, // only these nodes: names and patterns, separated by commas
	env *string, // only these environments, by user name or pattern; system for the systems
	exclude *string, // leave out these nodes, environments, or node/environment
	json *bool, // print JSON, one object a line
	out *string, // the generated folder, default generated
) error {
	r := lookRun{folder: openFolder(out, false), json: value(json, false),
		selection: deploy.Selection{Nodes: list(node), Profiles: list(env), Exclude: list(exclude)}}
	return r.run(map[string]*string{"-node": node, "-env": env, "-exclude": exclude}, func() error { return r.look(ctx, r.survey) })
}

func (r *lookRun) survey(ctx context.Context, p *drive.Plan, selected []deploy.Node, config *remote.Config) error {
	for _, n := range selected {
		if n.HostKey == "" {
			showEvent(deploy.Event{Type: deploy.TypeFinding, Node: n.Name, Finding: deploy.NoHostKey(n)})
		}
	}
	runner, err := withTokens(ctx, &nix.Runner{Dir: r.root})
	if err != nil {
		return err
	}
	if selected, err = p.Evaluate(ctx, &closure.Store{Nix: runner, SSHConfig: config.Path}, r.selection); err != nil {
		return err
	}
	// A node that cannot be reached does not hide the others.
	var certificates deploy.Certificates
	var doors deploy.FrontDoors
	left := leftoversOf(p)
	all, wrong := deploy.Survey(ctx, remote.New(config), selected, certificates.Ask, doors.Ask, left.Ask)
	shown := all
	if !r.json {
		shown = sayOnce(all, wrong)
	}
	if err := printAll(r, shown, report.Status); err != nil {
		return err
	}
	for _, e := range doors.Findings() { // about nginx, for the operator to do by hand
		showEvent(e)
	}
	if err := printAll(r, certificates.All(), report.Certificates); err != nil {
		return err
	}
	if err := r.leftOver(left.All()); err != nil {
		return err
	}
	if wrong != nil {
		return wrong
	}
	if deploy.Drift(all) {
		return &outcomeError{deploy.ExitChanges, "something is not in sync"}
	}
	if deploy.OrdersFailed(certificates.All()) {
		return &outcomeError{deploy.ExitChanges, "the order of a certificate failed"}
	}
	return nil
}
