package targets

import (
	"context"
	"errors"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/closure"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/drive"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/remote"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/report"
	"github.com/woolwichweb/hostenv-provider/hostenv/fleetpage"
	"github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Status compares every node and environment with the plan.
//
// It asks the nodes which store path is active, and shows for each profile whether
// that is the planned one: in-sync, behind, diverged, not-ours or unreachable. It
// also shows the certificates that the nodes lack, and why. With -tls it asks each node
// over TLS for the certificate that it serves for each virtual host, and shows what
// differs from the plan. It changes nothing and takes no lock.
//
// Exit codes: 0 if everything is in sync; 1 after an error; 2 if something is not
// in sync, the order of a certificate failed or, with -tls, a node serves another
// certificate than the plan has; 4 if the plan is older than the state; 6 if everything
// is in sync and the plan holds projects back.
func Status(ctx context.Context,
	node *string, // only these nodes: names and patterns, separated by commas
	env *string, // only these environments, by user name or pattern; system for the systems
	exclude *string, // leave out these nodes, environments, or node/environment
	tls *bool, // ask the nodes over TLS which certificates they serve
	evaluate *string, // full: evaluate everything anew, with the whole flake
	json *bool, // print JSON, one object a line
	out *string, // the generated folder, default generated
) error {
	anew, err := evaluatesAnew(evaluate)
	r := lookRun{folder: openFolder(out, false), json: value(json, false), anew: anew, tls: value(tls, false),
		selection: deploy.Selection{Nodes: list(node), Profiles: list(env), Exclude: list(exclude)}}
	if err != nil {
		return r.fail(err)
	}
	return r.run(map[string]*string{"-node": node, "-env": env, "-exclude": exclude}, func() error { return r.look(ctx, r.survey) })
}

// answers are what nodes answered.
type answers struct {
	statuses     []deploy.Status
	certificates deploy.Certificates
	doors        deploy.FrontDoors
	left         *deploy.Leftovers
	wrong        error // of nodes that answer and cannot be examined
}

// ask asks nodes for all that a status shows.
func (r *lookRun) ask(ctx context.Context, p *drive.Plan, selected []deploy.Node, config *remote.Config) (*answers, error) {
	for _, n := range selected {
		if n.HostKey == "" {
			showEvent(deploy.Event{Type: deploy.TypeFinding, Node: n.Name, Finding: deploy.NoHostKey(n)})
		}
	}
	runner, err := withTokens(ctx, &nix.Runner{Dir: r.root, Anew: r.anew})
	if err != nil {
		return nil, err
	}
	if selected, err = p.Evaluate(ctx, &closure.Store{Nix: runner, SSHConfig: config.Path}, r.selection); err != nil {
		return nil, err
	}
	a := &answers{left: leftoversOf(p)}
	// A node that cannot be reached does not hide the others.
	a.statuses, a.wrong = deploy.Survey(ctx, remote.New(config), selected, a.certificates.Ask, a.doors.Ask, a.left.Ask)
	return a, nil
}

// page returns the answers for the page of the fleet.
func (a *answers) page(now time.Time) *fleetpage.Answers {
	return &fleetpage.Answers{
		At: now, Statuses: a.statuses, Certificates: a.certificates.All(), Leftovers: a.left.All(), Findings: a.doors.Findings(), Errors: problem.Leaves(a.wrong),
	}
}

func (r *lookRun) survey(ctx context.Context, p *drive.Plan, selected []deploy.Node, config *remote.Config) error {
	r.warnUntracked(ctx, true, stateFile)
	held, err := tellStays(p.Document)
	if err != nil {
		return err
	}
	found, err := r.ask(ctx, p, selected, config)
	if err != nil {
		return err
	}
	shown := found.statuses
	if !r.json {
		shown = sayOnce(found.statuses, found.wrong)
	}
	if err := printAll(r, shown, report.Status); err != nil {
		return err
	}
	for _, e := range found.doors.Findings() { // about nginx, for the operator to do by hand
		showEvent(e)
	}
	if err := printAll(r, found.certificates.All(), report.Certificates); err != nil {
		return err
	}
	if err := r.leftOver(found.left.All()); err != nil {
		return err
	}
	differ := false
	if r.tls {
		if differ, err = r.servedOverTLS(ctx, p, selected); err != nil {
			return errors.Join(found.wrong, err)
		}
	}
	switch {
	case found.wrong != nil:
		return found.wrong
	case deploy.Drift(found.statuses):
		return &outcomeError{deploy.ExitChanges, "something is not in sync"}
	case deploy.OrdersFailed(found.certificates.All()):
		return &outcomeError{deploy.ExitChanges, "the order of a certificate failed"}
	case differ:
		return &outcomeError{deploy.ExitChanges, "a node serves another certificate than the plan has"}
	}
	return heldBack(held, nil)
}
