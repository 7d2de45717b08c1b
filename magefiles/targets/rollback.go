package targets

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/generated"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// Rollback plans the sources of an earlier plan for some environments.
//
// It takes the sources, the configuration and the host names of these environments from
// an earlier commit: the newest one whose plan has another source of one of them, or the
// commit of -to. They keep their UIDs and stay on their nodes, and all other
// environments stay as they are. It evaluates no project. Run `mage deploy` afterwards.
//
// The next `mage plan` takes the newest sources again, unless provider.hold keeps the
// project: rollback prints the line to add.
//
// Exit codes: 0 after success; 1 after an error; 2 with -detailedExitcode if there are
// changes; 3 if another run holds the lock; 6 if the plan holds projects back.
func Rollback(ctx context.Context,
	project *string, // all environments of these projects: acme__site, or patterns, separated by commas
	env *string, // these environments, by user name or pattern
	to *string, // the commit with the plan to go back to
	dryRun *bool, // show the changes, write nothing
	diff *bool, // show the difference of the files as well, as a patch
	json *bool, // print the changes as JSON
	detailedExitcode *bool, // end with 2 if there are changes
	inventory *string, // read the inventory from this file, without Nix
	out *string, // the generated folder, default generated
) error {
	run := planRun{
		folder: openFolder(out, !value(dryRun, false)),
		dryRun: value(dryRun, false), detailed: value(detailedExitcode, false), keepSources: true, inventory: value(inventory, ""),
		back: &goBack{only: plan.Selection{Projects: list(project), Environments: list(env)}, to: value(to, "")},
		show: showing{diff: value(diff, false), format: formatText},
	}
	return run.run(map[string]*string{"-project": project, "-env": env, "-to": to}, func() error {
		if err := run.show.check(value(json, false), nil); err != nil {
			return err
		}
		if run.back.only.All() {
			return problem.New("", "what to roll back is missing", "name it with -env or -project; `mage state:list` shows the environments")
		}
		run.back.format = run.show.format
		return run.do(ctx)
	})
}

// A goBack is what to roll back.
type goBack struct {
	only plan.Selection
	to   string // "" for the newest plan with other sources

	format string // of the output

	users  []string         // those that go back, once it is found
	commit generated.Commit // where their plan is
}

// find finds the earlier plan in git.
func (b *goBack) find(ctx context.Context, f *folder, last lastPlan) (*plan.Back, error) {
	if last.Document == nil {
		return nil, problem.New("", "there is no plan to go back from", "run `mage plan`")
	}
	users, err := b.only.Users(*last.Document)
	if err != nil {
		return nil, err
	}
	list := "`git log --oneline -- " + problem.Word(f.File(planFile)) + "` lists the commits with a plan"
	commits, err := f.Commits(ctx, planFile, b.to)
	if err != nil {
		return nil, err
	}
	for _, commit := range commits {
		earlier, err := planOf(ctx, f, commit)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if b.to != "" && err != nil {
			return nil, problem.WithHint(err, list)
		}
		if err != nil {
			continue // the plan of the legacy generator, or no plan
		}
		common, differing := last.Earlier(*earlier, users)
		switch {
		case b.to != "" && len(common) == 0:
			return nil, problem.New("the plan of commit "+commit.Short(), "has none of "+briefly(users), list)
		case b.to == "" && len(differing) == 0:
			continue
		}
		b.users, b.commit = common, commit
		fmt.Fprintln(b.output(), problem.Line(fmt.Sprintf("back to the plan of commit %s of %s: %s", commit.Short(), commit.Date, commit.Subject)))
		return &plan.Back{To: earlier, Users: users}, nil
	}
	return nil, problem.New("", "no earlier plan in git has another source of "+briefly(users),
		"name the commit: -to=COMMIT; "+list+"; a clone without its history has few (git fetch --unshallow)")
}

// planOf returns the plan that a commit has.
func planOf(ctx context.Context, f *folder, commit generated.Commit) (*plan.Document, error) {
	text, err := f.Committed(ctx, commit.Hash, planFile)
	if err != nil {
		return nil, err
	}
	if text == nil {
		return nil, problem.New("the commit "+commit.Short(), "has no "+f.File(planFile), "")
	}
	d, err := plan.DecodeDocument(text)
	if err != nil {
		return nil, problem.In("the plan of commit "+commit.Short(), err)
	}
	return &d, nil
}

// output is where to write what is for people.
func (b *goBack) output() io.Writer {
	if b.format == formatText {
		return stdout()
	}
	return os.Stderr
}

// tellNext says how to deploy what went back, and how it stays.
func (b *goBack) tellNext(result *plan.Result, inv *plan.Inventory) {
	to := b.output()
	fmt.Fprintln(to, "`mage deploy` brings it to the nodes")
	var lines []string
	for _, user := range b.users {
		e := result.State.Entries[user]
		input := inputOf(inv, state.Project{Organisation: e.Organisation, Project: e.Project})
		line := fmt.Sprintf("  provider.hold.%s = %s;", problem.Nix(input), problem.Nix("rolled back to the plan of "+b.commit.Short()))
		onHold := slices.ContainsFunc(result.Holds, func(h plan.Hold) bool { return h.Project == input })
		if !onHold && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	if len(lines) > 0 {
		fmt.Fprintf(to, "the next `mage plan` takes the newest sources again; to keep these, add to flake.nix:\n%s\n", strings.Join(lines, "\n"))
	}
}

// inputOf returns the flake's name for a project.
func inputOf(inv *plan.Inventory, p state.Project) string {
	for _, input := range inv.Inputs {
		if organisation, project, ok := state.SplitInput(input); ok && organisation == p.Organisation && project == p.Project {
			return input
		}
	}
	return p.Organisation + "__" + p.Project
}

// maxNamed is how many environments an error names.
const maxNamed = 8

// briefly lists the first names.
func briefly(names []string) string {
	if len(names) > maxNamed {
		names = append(names[:maxNamed:maxNamed], fmt.Sprintf("%d more", len(names)-maxNamed))
	}
	return problem.Join(names)
}
