package nix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/names"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// An Environment is what Nix has to know of an environment of the plan to evaluate
// its package.
type Environment struct {
	Project string         // the customer's input, organisation__project
	Name    string         // of the environment in the project, environmentName
	Node    string         // its node
	System  string         // the platform of the node
	Source  map[string]any // the locked source: arguments of builtins.fetchTree, and dir; nil if it is not locked
}

// A Package is the evaluated package of an environment. Its derivation is in the
// store.
type Package struct {
	Name       string `json:"name"`
	Path       string `json:"path"`                 // that the derivation will produce
	Derivation string `json:"derivation,omitempty"` // the path of the .drv file, "" if the store has the path without one
	Output     string `json:"output,omitempty"`     // of the derivation
}

// ErrNoLibrary reports that a flake has no lib.hostenvProvider, so that its outputs
// are the provider's own.
var ErrNoLibrary = errors.New("the flake has no lib.hostenvProvider")

// Packages evaluates the packages of environments, by user name, and puts their
// derivations into the store. The environments of one source are evaluated in a
// process of their own, held as those of an inventory: see [Runner.Inventory]. An
// environment without a package has its error in failed. The error is
// [ErrNoLibrary] if the provider's flake is none of mkProvider.
func (r *Runner) Packages(ctx context.Context, environments map[string]Environment) (packages map[string]Package, failed map[string]error, err error) {
	p, err := r.Provider(ctx)
	if err != nil {
		return nil, nil, err
	}
	return p.Packages(ctx, environments)
}

// Packages is that of the Runner, for the tree that was read.
func (p *Provider) Packages(ctx context.Context, environments map[string]Environment) (packages map[string]Package, failed map[string]error, err error) {
	r := p.runner
	o, err := p.sourced(ctx)
	if err != nil {
		return nil, nil, err
	}
	packages, failed = map[string]Package{}, map[string]error{}
	groups := map[string][]string{}
	for _, user := range slices.Sorted(maps.Keys(environments)) {
		e := environments[user]
		if e.Source == nil {
			failed[user] = problem.New("", "environment "+user+" has no locked source", "run `mage plan`, without -locked and -inventory")
			continue
		}
		key, err := json.Marshal([]any{e.Project, e.Source})
		if err != nil {
			return nil, nil, fmt.Errorf("evaluate environment %s: %w", user, err)
		}
		groups[string(key)] = append(groups[string(key)], user)
	}
	var all, alone []*subject
	users := map[*subject][]string{}
	add := func(to *[]*subject, some []string) {
		p := o.ofSource(environments, some)
		users[p] = some
		*to = append(*to, p)
	}
	for _, key := range slices.Sorted(maps.Keys(groups)) {
		add(&all, groups[key])
	}
	settle := func(p *subject, result json.RawMessage, err error) {
		if err != nil && len(users[p]) > 1 { // one of them may fail for all
			for _, user := range users[p] {
				add(&alone, []string{user})
			}
			return
		}
		found := map[string]Package{}
		if err == nil {
			err = json.Unmarshal(result, &found)
		}
		for _, user := range users[p] {
			reason := err
			if reason == nil {
				reason = found[user].check(o.Held.StoreDir)
			}
			if reason != nil {
				failed[user] = reason
				continue
			}
			packages[user] = found[user]
		}
	}
	if err := r.hold(ctx, o, all, settle); err != nil {
		return nil, nil, err
	}
	return packages, failed, r.hold(ctx, o, alone, settle)
}

// ofSource returns the subject of environments that have one source.
func (o *own) ofSource(environments map[string]Environment, users []string) *subject {
	first := environments[users[0]]
	asked := map[string]any{}
	for _, user := range users {
		e := environments[user]
		asked[user] = map[string]any{"source": e.Source, "node": e.Node, "system": e.System, "environmentName": e.Name}
	}
	p := &subject{
		name: first.Project, locked: first.Source, part: o.lock.Part(o.Held.Shared, ""), file: "held-packages.nix",
		arguments: map[string]any{"environments": asked}, refused: map[string]string{}, made: derivationsOf,
		about: func(reason error) error {
			failed := (*CommandError)(nil)
			if !errors.As(reason, &failed) {
				return reason
			}
			text := Inline(failed.Message())
			return problem.New("", text, Advice(text))
		},
	}
	p.folder, _ = first.Source["dir"].(string)
	return p
}

// derivationsOf returns the derivations that held-packages.nix describes.
func derivationsOf(result json.RawMessage) (paths []string) {
	found := map[string]Package{}
	_ = json.Unmarshal(result, &found) // who reads the result reports the error
	for _, p := range found {
		if p.Derivation != "" {
			paths = append(paths, p.Derivation)
		}
	}
	return paths
}

var (
	packageName = regexp.MustCompile(`^[A-Za-z0-9+_?=-][A-Za-z0-9+._?=-]{0,149}$`)
	outputName  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,40}$`)
)

// check refuses a package that the provider's own Nix code could not take: its name is
// the customer's.
func (p Package) check(storeDir string) error {
	inStore := func(text string) bool {
		path, err := names.ParseStorePath(text)
		return err == nil && path.Dir() == storeDir
	}
	if made := p.Derivation != "" || p.Output != ""; made && (!inStore(p.Derivation) || !names.StorePath(p.Derivation).IsDerivation() || !outputName.MatchString(p.Output)) {
		return problem.New("", fmt.Sprintf("its package %q is the output %q of %q, which is no derivation", short(p.Path), short(p.Output), short(p.Derivation)), byHostenv)
	}
	if !inStore(p.Path) {
		return problem.New("", fmt.Sprintf("its package is %q, which is no store path", short(p.Path)), byHostenv)
	}
	if !packageName.MatchString(p.Name) || strings.HasSuffix(p.Name, ".drv") {
		return problem.New("", fmt.Sprintf("its package has the name %q, which Nix does not take", short(p.Name)), byHostenv)
	}
	return nil
}

// short is the beginning of what a customer wrote.
func short(text string) string {
	if len(text) > 200 {
		text = text[:200] + "..."
	}
	return text
}

const byHostenv = "let packages.<system>.<environment> of the project's flake be what hostenv makes"
