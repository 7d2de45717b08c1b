package targets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/magefile/mage/mg"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/state/store"
)

// Plan turns the provider's flake into generated/state.json and plan.json.
//
// It evaluates every customer's environments, locks their sources, gives new
// environments their UIDs and host names, and writes the state, then the plan.
// Review both, and commit them.
func Plan(ctx context.Context,
	dryRun *bool, // show the changes and the difference, write nothing
	json *bool, // print the changes as JSON
	detailedExitcode *bool, // end with 2 if there are changes
	locked *bool, // keep the locked sources of the last plan, ask nobody
	inventory *string, // read the inventory from a file, in place of Nix
	out *string, // the generated folder, default generated
) error {
	run := planRun{
		dir:    folder(out),
		dryRun: value(dryRun, false), json: value(json, false), detailed: value(detailedExitcode, false),
		locked: value(locked, false), inventory: value(inventory, ""),
	}
	return fail(run.do(ctx))
}

type planRun struct {
	dir                            *store.Dir
	dryRun, json, detailed, locked bool
	inventory                      string
}

// do holds the lock from before the inventory is read: of two runs at once the
// one that read older inputs would otherwise win over the newer.
func (r planRun) do(ctx context.Context) (err error) {
	if !r.dryRun {
		unlock, err := lock(ctx, r.dir)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, unlock()) }()
	}
	prior, oldState, err := readState(r.dir)
	if err != nil {
		return err
	}
	oldPlan, err := r.dir.Read(planFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	inv, sources, err := r.inputs(ctx, oldPlan)
	if err != nil {
		return err
	}
	result, err := plan.Compute(inv, sources, prior)
	if err != nil {
		return err
	}
	warn(result.Warnings)
	files := []file{
		{stateFile, oldState, result.State.Encode()},
		{planFile, oldPlan, result.Plan.Encode()},
	}
	if !r.dryRun {
		if err := writeFiles(ctx, r.dir, files); err != nil {
			return err
		}
	}
	return r.show(result, files)
}

// inputs returns the inventory and the locked sources.
func (r planRun) inputs(ctx context.Context, oldPlan []byte) (*plan.Inventory, plan.Sources, error) {
	show, done := progress()
	defer done()
	runner := &nix.Runner{Dir: ".", Progress: show}
	var data []byte
	var err error
	if r.inventory != "" {
		data, err = os.ReadFile(r.inventory)
	} else {
		data, err = runner.Inventory(ctx)
	}
	if err != nil {
		return nil, nil, err
	}
	inv, err := plan.DecodeInventory(data)
	if err != nil {
		if r.inventory != "" {
			err = in(r.inventory, err)
		}
		return nil, nil, err
	}
	if r.locked || r.inventory != "" {
		if len(oldPlan) == 0 {
			return inv, nil, nil
		}
		sources, err := plan.LockedSources(oldPlan)
		if err != nil {
			err = hinted(in(filepath.Join(r.dir.Path(), planFile), err), "restore it from git, or run `mage plan` without -locked and -inventory")
		}
		return inv, sources, err
	}
	if len(inv.Problems()) > 0 {
		return inv, nil, nil // Compute refuses it: nothing needs to be fetched
	}
	requests := inv.SourceRequests()
	attrs := make([]map[string]any, len(requests))
	for i, request := range requests {
		attrs[i] = request.Attrs
	}
	answers, err := runner.LockSources(ctx, attrs)
	if err != nil {
		return nil, nil, err
	}
	sources := make(plan.Sources, len(answers))
	for i, locked := range answers {
		sources[requests[i].Key] = plan.Locked(locked)
	}
	return inv, sources, nil
}

// show prints what was, or would be, written.
func (r planRun) show(result *plan.Result, files []file) error {
	changed := false
	for _, f := range files {
		changed = changed || f.changed()
	}
	if r.json {
		os.Stdout.Write(result.Changes.Encode(result.Warnings))
	} else {
		if r.dryRun {
			for _, f := range files {
				printDiff(filepath.Join(r.dir.Path(), f.name), f.before, f.after)
			}
		}
		fmt.Print(result.Changes.Text())
		for _, f := range files {
			if f.changed() {
				verb := "wrote"
				if r.dryRun {
					verb = "would write"
				}
				fmt.Println(verb, filepath.Join(r.dir.Path(), f.name))
			}
		}
	}
	if r.detailed && changed {
		return mg.Fatal(exitChanges, "there are changes")
	}
	return nil
}

// A file is one generated file, before and after.
type file struct {
	name          string
	before, after []byte
}

func (f file) changed() bool { return f.before == nil || !bytes.Equal(f.before, f.after) }

// writeFiles writes the files that changed, in their order: a state must be
// durable before the plan that names its UIDs.
func writeFiles(ctx context.Context, dir *store.Dir, files []file) error {
	for _, f := range files {
		if _, err := dir.Write(f.name, f.after); err != nil {
			return err
		}
	}
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = f.name
	}
	return addToGit(ctx, dir.Path(), paths...)
}
