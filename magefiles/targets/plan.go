package targets

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/tidwall/gjson"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/generated"
	"github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/review"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// Plan turns the provider's flake into generated/state.json and plan.json.
//
// It evaluates the environments of every customer, locks their sources, and gives
// new environments their UIDs and host names. Then it writes the state, and after
// that the plan. Review both files and commit them. A refused plan leaves both files
// as they were. A project that fails is held back: it stays as in the last plan, and
// all others are planned.
//
// -project and -env plan only what they match, and all others keep the sources and the
// configuration of the last plan. provider.hold keeps a project as it is in every plan.
//
// It shows what changes: a summary, and then each customer. With -since it plans
// nothing, and shows what changed from an earlier commit to the files that are here;
// -format=markdown writes that for a merge request, with the digest that `mage
// deploy -reviewed=DIGEST` takes.
//
// Exit codes: 0 after success; 1 after an error; 2 with -detailedExitcode if there
// are changes; 3 if another run holds the lock; 6 if projects are held back, whether
// there are changes or not.
func Plan(ctx context.Context,
	project *string, // plan only these projects: acme__site, or patterns, separated by commas
	env *string, // plan only these environments, by user name or pattern
	dryRun *bool, // show the changes, write nothing
	diff *bool, // show the difference of the files as well, as a patch
	json *bool, // print the changes as JSON
	format *string, // how to print the changes: text, json or markdown; default text
	limit *int, // with -format=markdown: the largest number of bytes, such as 65000
	since *string, // show what changed since this commit, plan nothing
	detailedExitcode *bool, // end with 2 if there are changes
	locked *bool, // keep the locked sources of the last plan, fetch no newer ones
	inventory *string, // read the inventory from this file, without Nix; implies -locked
	out *string, // the generated folder, default generated
	resolver *string, // the validating resolver to ask for proofs of domains, default the system's
	allowMany *bool, // retire and move any number of environments
	compare *string, // compare the new plan with this older plan.json, write nothing
) error {
	run := planRun{
		folder: openFolder(out, !value(dryRun, false) && compare == nil && since == nil),
		dryRun: value(dryRun, false), detailed: value(detailedExitcode, false),
		compares: value(compare, "") != "", keepSources: value(locked, false), inventory: value(inventory, ""), resolver: value(resolver, ""), allowMany: value(allowMany, false),
		only: plan.Selection{Projects: list(project), Environments: list(env)},
		show: showing{diff: value(diff, false), format: value(format, "text"), limit: value(limit, 0)},
	}
	return run.run(map[string]*string{"-since": since, "-project": project, "-env": env}, func() error {
		if err := run.show.check(value(json, false), limit); err != nil {
			return err
		}
		switch older := value(compare, ""); {
		case since != nil && (run.dryRun || run.keepSources || run.inventory+run.resolver+older != "" || !run.only.All()):
			return problem.New("", "-since plans nothing, and excludes -dryRun, -locked, -inventory, -resolver, -compare, -project and -env", "leave one of them out")
		case older != "" && !run.only.All():
			return problem.New("", "-compare compares the plan of all environments, and excludes -project and -env", "leave one of them out")
		case since != nil:
			return run.since(ctx, *since)
		case older != "":
			return run.compare(ctx, older)
		}
		return run.do(ctx)
	})
}

type planRun struct {
	*folder
	dryRun, detailed, compares, keepSources, allowMany bool
	inventory, resolver                                string
	only                                               plan.Selection
	back                                               *goBack // nil for a plan of the inventory
	show                                               showing
}

// do takes the lock before it reads the inventory: otherwise, of two concurrent
// runs, the one with older inputs could write last.
func (r planRun) do(ctx context.Context) error {
	if r.dryRun {
		r.warnUntracked(ctx, r.inventory == "", stateFile, planFile)
		return r.plan(ctx)
	}
	r.warnUntracked(ctx, r.inventory == "") // a run that writes makes state and plan known
	if err := r.Exists(ctx); err != nil {
		return err
	}
	return r.Locked(ctx, func() error { return r.plan(ctx) })
}

func (r planRun) plan(ctx context.Context) error {
	prior, oldState, err := r.State(ctx)
	if err != nil {
		return err
	}
	last, err := r.lastPlan(ctx)
	if err != nil {
		return err
	}
	result, inventory, err := r.compute(ctx, prior, last)
	if err != nil {
		return err
	}
	next := last.carry(result.Plan).After(last.document())
	files := []generated.File{
		{Name: stateFile, Before: oldState, After: result.State.Encode()},
		{Name: planFile, Before: last.text, After: next.Encode()},
	}
	changes := reviewOf(ctx, review.Version{Plan: last.Document, State: prior}, review.Version{Plan: &next, State: result.State}, files[1].After)
	changes.Held = result.Held // with their hints, which the plan does not have
	if !r.dryRun {
		if err := r.Save(ctx, files...); err != nil {
			return err
		}
	}
	ended := r.end(changes, result.Warnings, files)
	if r.back != nil && !r.dryRun {
		r.back.tellNext(result, inventory)
	}
	return heldBack(result.Held, ended)
}

// compute computes the plan, and tells what is held back and what it warns of.
func (r planRun) compute(ctx context.Context, prior state.State, last lastPlan) (*plan.Result, *plan.Inventory, error) {
	var back *plan.Back
	if r.back != nil {
		var err error
		if back, err = r.back.find(ctx, r.folder, last); err != nil {
			return nil, nil, err
		}
	}
	in, err := r.inputs(ctx, prior, last)
	if err != nil {
		return nil, nil, err
	}
	if back == nil {
		if err := r.see(ctx, in.Inventory, prior); err != nil {
			return nil, nil, err
		}
	}
	in.State, in.Last, in.Back = prior, last.Document, back
	result, err := plan.Compute(in)
	if nothing := (*plan.HeldError)(nil); errors.As(err, &nothing) {
		if err := r.tell(nothing.Held); err != nil {
			return nil, nil, err
		}
		return nil, nil, heldBack(nothing.Held, nil)
	}
	if err != nil {
		return nil, nil, err
	}
	if err := r.tell(result.Held); err != nil {
		return nil, nil, err
	}
	result.Warnings = append(result.Warnings, plan.Renamed(last.Document, result)...)
	warn(result.Warnings)
	return result, in.Inventory, nil
}

// A lastPlan is the plan of the run before, or the reason why it cannot be read.
type lastPlan struct {
	*plan.Document // nil if there is none
	text           []byte
	err            error
}

func (r planRun) lastPlan(ctx context.Context) (last lastPlan, err error) {
	if last.text, err = r.ReadIfThere(planFile); len(last.text) == 0 || err != nil {
		return last, err
	}
	document, err := plan.DecodeDocument(last.text)
	if err != nil {
		// A plan that is ours has decisions of the gate and locked sources: without
		// them, certificates and commits would change. Of text that is not JSON, the
		// flake's own error would not name the file.
		ours := gjson.GetBytes(last.text, "formatVersion").Int() == plan.FormatVersion
		if ours || !gjson.ValidBytes(last.text) {
			if damaged := r.Damaged(ctx, planFile, err); problem.Hint(damaged) != problem.Hint(err) {
				return last, damaged
			}
			return last, problem.WithHint(problem.In(r.File(planFile), err), "restore it (git checkout HEAD -- "+problem.Word(r.File(planFile))+"), or remove it and run `mage plan`, then `mage dnsGate`")
		}
		last.err = err
		return last, nil
	}
	last.Document = &document
	return last, nil
}

// carry returns a plan with the DNS gate's decisions of the last plan.
func (last lastPlan) carry(next plan.Document) plan.Document {
	if last.err != nil {
		warn([]state.Warning{{Subject: planFile, Message: "the last plan cannot be read, and the verdicts of the DNS gate in it are lost: run `mage dnsGate` before you deploy"}})
	}
	if last.Document == nil {
		return next
	}
	return dnsgate.Carry(*last.Document, next)
}

// document returns the last plan, the zero one if there is none.
func (last lastPlan) document() plan.Document {
	if last.Document == nil {
		return plan.Document{}
	}
	return *last.Document
}

// inputs returns the inventory, the locked sources, and the projects that could not be
// evaluated or locked.
func (r planRun) inputs(ctx context.Context, prior state.State, last lastPlan) (in plan.Input, err error) {
	show, done := progress()
	defer done()
	runner := &nix.Runner{Dir: r.root, Progress: func(e nix.Event) { show(doing(e)) }, Wanted: func(project string) bool {
		return r.back == nil && r.only.MayNeed(project, prior)
	}}
	var data []byte
	if r.inventory != "" {
		if data, err = os.ReadFile(r.inventory); err != nil {
			err = problem.WithHint(err, "name a file that was written by `nix eval --json .#lib.hostenvProvider.inventory`")
		}
	} else if err = checkLock(ctx, runner); err == nil {
		// Only then may Nix evaluate anything, and sops be asked for tokens.
		if runner, err = withTokens(ctx, runner); err == nil {
			data, err = runner.Inventory(ctx)
		}
	}
	if failed := (*nix.FailedProjects)(nil); errors.As(err, &failed) && data != nil {
		for project, reason := range *failed {
			in.Failed = append(in.Failed, plan.Held{Project: project, Reason: reason})
		}
		err = nil
	}
	if err != nil {
		return in, err
	}
	if in.Inventory, err = plan.DecodeInventory(data); err != nil {
		if r.inventory != "" {
			err = problem.In(r.inventory, err)
		}
		return in, err
	}
	in.Inventory.AllowMany, in.Inventory.Only = r.allowMany, r.only
	if r.inventory == "" {
		if in.Inventory.Inputs, err = runner.Inputs(); err != nil {
			return in, err
		}
	}
	if r.keepSources || r.inventory != "" {
		if last.Document != nil { // a plan of the legacy generator has no sources
			in.Sources = last.Sources()
		}
		return in, nil
	}
	if len(in.Inventory.Problems()) > 0 {
		return in, nil // Compute refuses the inventory: do not fetch sources
	}
	requests := in.Inventory.SourceRequests()
	attrs := make([]map[string]any, len(requests))
	for i, request := range requests {
		attrs[i] = request.Attrs
	}
	answers, err := runner.LockSources(ctx, attrs)
	failed := &nix.FailedSources{}
	if err != nil && !errors.As(err, &failed) {
		return in, err
	}
	in.Sources = make(plan.Sources, len(answers))
	for i, locked := range answers {
		if reason := failed.Of(i); reason != nil {
			for _, project := range requests[i].Projects() {
				in.Failed = append(in.Failed, plan.Held{Project: project, Reason: reason})
			}
			continue
		}
		in.Sources[requests[i].Key] = plan.Locked(locked)
	}
	return in, nil
}

// checkLock refuses a lock with sources that customers may not bring, and warns of
// customers that still decide what is locked.
func checkLock(ctx context.Context, runner *nix.Runner) error {
	warning, err := runner.CheckLock(ctx)
	if warning != nil {
		fmt.Fprintf(os.Stderr, "warning: %s\nhint: %s\n", warning, problem.Hint(warning))
	}
	return err
}
