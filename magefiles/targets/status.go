package targets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/closure"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/drive"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/remote"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/report"
	"github.com/woolwichweb/hostenv-provider/hostenv/nix"
)

// Status shows where every node and environment stands.
//
// It asks the nodes which store path is active, and compares it with the
// planned one: in-sync, behind, diverged, not-ours or unreachable. It shows the
// certificates that nodes lack, too, and why. It changes nothing, takes no lock,
// and ends with 2 if anything is not in sync or the order of a certificate
// failed, and with 4 where the plan is older than the state.
func Status(ctx context.Context,
	node *string, // only these nodes: names and patterns, separated by commas
	env *string, // only these environments, by user name or pattern; system for the systems
	exclude *string, // not these nodes, environments, or node/environment
	json *bool, // print JSON, a line for each
	out *string, // the generated folder, default generated
) error {
	r := lookRun{folder: openFolder(out), json: value(json, false),
		selection: deploy.Selection{Nodes: list(node), Profiles: list(env), Exclude: list(exclude)}}
	if err := usage(map[string]*string{"-node": node, "-env": env, "-exclude": exclude}); err != nil {
		return r.fail(err)
	}
	defer withhold()()
	return r.fail(r.status(ctx))
}

// A lookRun looks at nodes, and prints lines of JSON or for people.
type lookRun struct {
	*folder
	selection deploy.Selection
	json      bool
}

// printJSON prints a value on a line.
func printJSON(v any) error {
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

func (r *lookRun) status(ctx context.Context) (err error) {
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
	for _, n := range selected {
		if n.HostKey == "" {
			finding := deploy.NoHostKey(n)
			fmt.Fprintln(os.Stderr, report.Line(deploy.Event{Type: deploy.TypeFinding, Node: n.Name, Finding: &finding}))
		}
	}
	runner, err := withTokens(ctx, &nix.Runner{Dir: "."})
	if err != nil {
		return err
	}
	if selected, err = p.Evaluate(ctx, &closure.Store{Nix: runner, SSHConfig: config.Path}, r.selection); err != nil {
		return err
	}
	// A node that cannot be looked at keeps nobody from seeing the others.
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
	} else if err := report.Status(os.Stdout, all); err != nil {
		return err
	}
	showFrontDoors(&doors)
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
