package drive

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/closure"
	"github.com/woolwichweb/hostenv-provider/hostenv/generated"
	"github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// A Plan is the plan of a provider, with the state that it belongs to.
type Plan struct {
	Document plan.Document
	State    state.State
	Nodes    []deploy.Node // all of them, with all profiles
	Commit   string        // of the provider's repository, see [deploy.PlanRecord]

	folder *generated.Folder
	text   []byte // of plan.json
}

// Read reads the plan in a folder. The error for a plan of another state is a
// [plan.StaleError].
func Read(ctx context.Context, folder *generated.Folder) (*Plan, error) {
	if err := folder.Seen(ctx); err != nil {
		return nil, err
	}
	s, _, err := folder.State(ctx)
	if err != nil {
		return nil, err
	}
	document, text, err := folder.Plan(ctx, s)
	if err != nil {
		return nil, err
	}
	nodes, err := deploy.Planned(document)
	if err != nil {
		return nil, problem.In(folder.File(generated.PlanFile), err)
	}
	return &Plan{Document: document, State: s, Nodes: nodes, folder: folder, text: text}, nil
}

// Evaluate evaluates the profiles of the nodes of a selection, and returns the nodes with
// the store paths of their profiles. What former runs evaluated is kept in the generated
// folder.
func (p *Plan) Evaluate(ctx context.Context, store *closure.Store, selection deploy.Selection) ([]deploy.Node, error) {
	selected, err := selection.Of(p.Nodes)
	if err != nil {
		return nil, err
	}
	if err := p.locate(store.Nix); err != nil {
		return nil, fmt.Errorf("find the generated folder: %w", err)
	}
	found, err := store.Evaluate(ctx, selected, closure.Plan{Text: p.text, Environments: Environments(p.Document)})
	if err != nil {
		return nil, err
	}
	filled, err := deploy.Fill(p.Nodes, found)
	if err != nil {
		return nil, err
	}
	return selection.Of(filled)
}

// wavesOf returns the waves of a plan.
func wavesOf(d plan.Document) deploy.Waves {
	w := deploy.Waves{Order: d.InWaves()}
	if d.Waves != nil {
		w.Pause, w.Failures = time.Duration(d.Waves.Pause)*time.Second, d.Waves.Failures
	}
	return w
}

// locate tells a runner where the plan is, and lets it keep evaluations beside it.
func (p *Plan) locate(runner *nix.Runner) error {
	root, err := filepath.Abs(runner.Dir)
	if err != nil {
		return err
	}
	if runner.Evaluations, err = filepath.Abs(p.folder.Hidden("evaluations")); err != nil {
		return err
	}
	folder, err := filepath.Abs(p.folder.Path())
	if err != nil {
		return err
	}
	runner.Generated, err = filepath.Rel(root, folder)
	return err
}

// Environments returns what Nix has to know of each environment of a plan.
func Environments(d plan.Document) map[string]nix.Environment {
	all := map[string]nix.Environment{}
	for user, e := range d.Environments {
		all[user] = nix.Environment{
			Project: e.Hostenv.Organisation + "__" + e.Hostenv.Project, Name: e.Hostenv.EnvironmentName,
			Node: e.Node, System: d.NodeConnections[e.Node].System, Source: e.Source.Fetch(),
		}
	}
	return all
}

// users resolves "*", which is every environment.
func (p *Plan) users(named []string) []string {
	if !slices.Contains(named, "*") {
		return named
	}
	var all []string
	for _, n := range p.Nodes {
		for _, profile := range n.Profiles {
			if !profile.IsSystem() {
				all = append(all, profile.Name)
			}
		}
	}
	return all
}

// unrecorded returns the entries of deployed that the state does not have yet.
func (p *Plan) unrecorded(deployed map[string]string) map[string]string {
	news := maps.Clone(deployed)
	maps.DeleteFunc(news, func(user, node string) bool {
		entry, ok := p.State.Entries[user]
		return !ok || entry.DeployedNode == node
	})
	return news
}

// record records the node of every deployed environment: first in the state, and
// then in the plan, which has the state's digest.
func (p *Plan) record(ctx context.Context, folder *generated.Folder, deployed map[string]string) error {
	news := p.unrecorded(deployed)
	if len(news) == 0 {
		return nil
	}
	return folder.Locked(ctx, func() error {
		before, stateText, err := folder.State(ctx)
		if err != nil {
			return err
		}
		after := before.WithDeployed(news)
		files := []generated.File{{Name: generated.StateFile, Before: stateText, After: after.Encode()}}
		planText, err := folder.ReadIfThere(generated.PlanFile)
		if err != nil {
			return err
		}
		// Another plan may have been written since. A stale plan stays unchanged.
		if planText != nil && plan.CheckFresh(planText, before) == nil {
			document, err := plan.DecodeDocument(planText)
			if err != nil {
				return problem.In(folder.File(generated.PlanFile), err)
			}
			files = append(files, generated.File{Name: generated.PlanFile, Before: planText, After: document.WithDeployed(news, after.Digest()).Encode()})
		}
		return folder.Save(ctx, files...)
	})
}
