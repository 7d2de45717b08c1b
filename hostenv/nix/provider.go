package nix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
)

// A Provider is the provider's flake, as far as parts of it are evaluated alone: what
// its options say about that, and its tree.
type Provider struct {
	Tree *Tree // nil if Nix cannot evaluate a copy of it

	runner *Runner
	mu     sync.Mutex // for the rest, after read
	own    *own
	known  bool // own is that of a former run
}

// Provider reads what the provider's flake says about evaluations, without a customer's
// code. It evaluates nothing if no file outside of the generated folder has changed since
// a former run. The error is [ErrNoLibrary] if the provider's flake is none of mkProvider.
func (r *Runner) Provider(ctx context.Context) (*Provider, error) {
	tree, err := r.Tree(ctx)
	if err != nil {
		return nil, err
	}
	p := &Provider{Tree: tree, runner: r}
	return p, p.read(ctx, true)
}

// ofHeld is what Provider evaluates.
var ofHeld = "p: { held = if p ? profilesOf then p.held else null; }"

// read reads own, if it may from a former run.
func (p *Provider) read(ctx context.Context, former bool) error {
	r := p.runner
	var written json.RawMessage
	err := errors.New("there is no tree")
	p.known = false
	if p.Tree != nil {
		conditions, broken := r.Conditions(ctx)
		if broken != nil {
			return broken
		}
		memory := r.Memory()
		cut := p.Tree.Cut(func(name string) bool { return isBelow(p.Generated(), name) }, nil)
		delete(conditions, "held") // no customer's code is evaluated
		parts := map[string]any{"expression": ofHeld, "tree": cut.Digest()}
		for name, value := range conditions {
			parts[name] = value
		}
		key := keyOf(parts)
		if written = memory.Get(key); written != nil && former {
			p.known, err = true, nil
		} else {
			if written, err = r.EvalIn(ctx, cut, "lib.hostenvProvider", ofHeld, Command{}); isMissing(err) {
				written, err = json.RawMessage(`{"held":null}`), nil
			}
			if err == nil && cut.IsLocked() {
				memory.Put(key, written)
			}
		}
	}
	// Options that read the plan, and errors, are those of the whole flake.
	if err != nil && ctx.Err() == nil {
		written, err = r.apply(ctx, nil, ofHeld)
	}
	switch failed := (*CommandError)(nil); {
	case isMissing(err):
		return ErrNoLibrary
	case errors.As(err, &failed):
		return inventoryProblem("", reasonOf("", failed, true))
	case err != nil:
		return err
	}
	var found struct {
		Held json.RawMessage `json:"held"`
	}
	if err := json.Unmarshal(written, &found); err != nil {
		return fmt.Errorf("evaluate the provider's options: read what nix wrote: %w", err)
	}
	if string(found.Held) == "null" {
		return ErrNoLibrary
	}
	p.own = &own{}
	if err := json.Unmarshal(found.Held, &p.own.Held); err != nil {
		return fmt.Errorf("evaluate the provider's options: read what nix wrote: %w", err)
	}
	return r.complete(p.own)
}

func isMissing(err error) bool {
	failed := (*CommandError)(nil)
	return errors.As(err, &failed) && strings.Contains(failed.Message(), missingAttribute)
}

// sourced returns own, with its sources in the store.
func (p *Provider) sourced(ctx context.Context) (*own, error) {
	r := p.runner
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.known {
		return p.own, nil
	}
	var at tree
	_ = json.Unmarshal(p.own.Held.Own, &at) // without a hash there is no folder in it
	var paths []string
	for _, hash := range []string{p.own.Held.Library.NarHash, at.NarHash} {
		if path := sourcePath(p.own.Held.StoreDir, hash); path != "" {
			paths = append(paths, path)
		}
	}
	if invalid, err := r.Invalid(ctx, paths); err != nil || len(invalid) > 0 {
		return p.own, p.read(ctx, false)
	}
	p.known = false
	return p.own, nil
}

// Generated is the folder of the plan in the tree.
func (p *Provider) Generated() string {
	generated := p.runner.Generated
	if generated == "" {
		generated = "generated"
	}
	return p.Tree.At(generated)
}

// Nodes is the folder with the folders of the nodes in the tree, "" if there is none.
func (p *Provider) Nodes() string { return p.own.Held.Nodes }

// Leaves returns what a cut of the tree leaves out: the generated folder, folders, and
// what provider.evaluation.leftOut names.
func (p *Provider) Leaves(folders ...string) func(name string) bool {
	folders = append(folders, p.Generated())
	for _, name := range p.own.Held.LeftOut {
		folders = append(folders, p.Tree.At(name))
	}
	return func(name string) bool {
		return slices.ContainsFunc(folders, func(folder string) bool { return isBelow(folder, name) })
	}
}

// isBelow reports whether a path is a folder, or below it.
func isBelow(folder, name string) bool {
	return folder != "" && (name == folder || strings.HasPrefix(name, folder+"/"))
}

// At is a path in the tree, of one relative to the folder of the flake.
func (t *Tree) At(name string) string { return path.Join(t.flake, name) }
