package targets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/closure"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/drive"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/remote"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/report"
	"github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
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
	if err := usage(map[string]*string{"-node": node, "-env": env, "-exclude": exclude}); err != nil {
		return r.fail(err)
	}
	defer withhold()()
	return r.fail(r.status(ctx))
}

// A lookRun looks at nodes, and prints text or lines of JSON.
type lookRun struct {
	*folder
	selection deploy.Selection
	json      bool
}

// printJSON prints a value on a line.
func printJSON(v any) error {
	encoder := json.NewEncoder(stdoutJSON())
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// look reads the plan, selects nodes and calls do with a way to them.
func (r *lookRun) look(ctx context.Context, do func(*drive.Plan, []deploy.Node, *remote.Config) error) error {
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
	return errors.Join(do(p, selected, config), config.Close())
}

// reported reports whether a status is about a node whose error is in wrong.
func reported(s deploy.Status, wrong error) bool {
	return s.Standing == deploy.StandingUnreachable && slices.ContainsFunc(problem.Leaves(wrong), func(err error) bool { return err.Error() == s.Detail })
}

// sayOnce returns statuses that refer to the errors below them: an error is
// printed in one place, with its hint.
func sayOnce(all []deploy.Status, wrong error) []deploy.Status {
	all = slices.Clone(all)
	for i := range all {
		if reported(all[i], wrong) {
			all[i].Detail = "see the error below"
		}
	}
	return all
}

func (r *lookRun) status(ctx context.Context) error {
	return r.look(ctx, func(p *drive.Plan, selected []deploy.Node, config *remote.Config) error {
		return r.survey(ctx, p, selected, config)
	})
}

func (r *lookRun) survey(ctx context.Context, p *drive.Plan, selected []deploy.Node, config *remote.Config) error {
	for _, n := range selected {
		if n.HostKey == "" {
			fmt.Fprintln(stderr(), report.Line(deploy.Event{Type: deploy.TypeFinding, Node: n.Name, Finding: deploy.NoHostKey(n)}))
		}
	}
	runner, err := withTokens(ctx, &nix.Runner{Dir: "."})
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
	if r.json {
		for _, s := range all {
			if err := printJSON(s); err != nil {
				return err
			}
		}
	} else if err := report.Status(os.Stdout, sayOnce(all, wrong)); err != nil {
		return err
	}
	for _, e := range doors.Findings() {
		fmt.Fprintln(os.Stderr, report.Line(e))
	}
	failed, err := r.showCertificates(certificates.All())
	if err != nil {
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
	return failed
}
