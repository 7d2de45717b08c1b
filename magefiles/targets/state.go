package targets

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/magefile/mage/mg"

	"github.com/woolwichweb/hostenv-provider/hostenv/generated"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/review"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// State is the namespace of the targets about generated/state.json.
type State mg.Namespace

// Init makes the state of a provider that has no plan yet.
//
// It writes generated/state.json, and a .gitignore for the files that are not to
// be committed. It fails if there is a state, or a plan whose state was lost.
func (State) Init(ctx context.Context,
	out *string, // the generated folder, default generated
) error {
	f := openFolder(out, true)
	return f.run(nil, func() error {
		if err := f.Here(); err != nil {
			return err
		}
		return f.Locked(ctx, func() error { return initState(ctx, f) })
	})
}

func initState(ctx context.Context, f *folder) error {
	old, err := f.ReadIfThere(stateFile)
	if err != nil {
		return err
	}
	if !lost(old) {
		return problem.WithHint(fmt.Errorf("there is a %s already", f.File(stateFile)), "run `mage plan`; to see what the state holds, run `mage state:list`")
	}
	oldPlan, err := f.ReadIfThere(planFile)
	if err != nil {
		return err
	}
	if users := plan.Users(oldPlan); users > 0 {
		return f.stateLost(fmt.Sprintf("names %d users", users))
	}
	if oldPlan != nil && !json.Valid(oldPlan) {
		return f.stateLost("is damaged")
	}
	if err := f.Save(ctx, generated.File{Name: stateFile, Before: old, After: state.New().Encode()}); err != nil {
		return err
	}
	fmt.Fprintln(stdout(), "wrote", f.File(stateFile))
	return nil
}

func (f *folder) stateLost(plan string) error {
	return problem.WithHint(fmt.Errorf("%s %s, and the state that belongs to it was lost", f.File(planFile), plan),
		"restore the state (git checkout -- "+problem.Word(f.File(stateFile))+"): a new one would give UIDs of old users to others")
}

// lost reports whether a state.json is empty.
func lost(data []byte) bool {
	text := strings.TrimSpace(string(data))
	return text == "" || text == "{}"
}

// List prints the user, UID, node and host names of every environment.
//
// An environment that is no longer in the inputs is retired: it keeps its UID for
// ever, and its host names until `mage state:prune` frees them.
func (State) List(ctx context.Context,
	json *bool, // print JSON
	out *string, // the generated folder, default generated
) error {
	f := openFolder(out, false)
	return f.run(nil, func() error { return f.list(ctx, value(json, false)) })
}

func (f *folder) list(ctx context.Context, json bool) error {
	s, _, err := f.State(ctx)
	if err != nil {
		return err
	}
	if json {
		_, err := os.Stdout.Write(s.EncodeList())
		return err
	}
	w := tabwriter.NewWriter(stdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "USER\tUID\tNODE\tDEPLOYED\tSTATUS\tHOST NAMES")
	for _, e := range s.List() {
		status := "live"
		if e.Retired {
			status = "retired"
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\n", e.UserName, e.UID, dash(e.Node), dash(e.DeployedNode), status, dash(strings.Join(e.VirtualHosts, " ")))
	}
	return w.Flush()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// Prune frees the host names of retired environments, never their UIDs.
//
// Without -yes it shows the names that it would free, and writes nothing.
func (State) Prune(ctx context.Context,
	user *string, // only these users, separated by commas
	yes *bool, // write the state
	out *string, // the generated folder, default generated
) error {
	f := openFolder(out, value(yes, false))
	return f.run(map[string]*string{"-user": user}, func() error {
		do := func() error { return prune(ctx, f, list(user), f.writes) }
		if !f.writes {
			return do()
		}
		if err := f.Exists(ctx); err != nil {
			return err
		}
		return f.Locked(ctx, do)
	})
}

func prune(ctx context.Context, f *folder, only []string, yes bool) error {
	s, old, err := f.State(ctx)
	if err != nil {
		return err
	}
	next, released, err := s.Prune(only...)
	if err != nil {
		return err
	}
	if len(released) == 0 {
		fmt.Fprintln(stdout(), "no retired environment has a host name")
		return nil
	}
	fmt.Fprint(stdout(), review.Of(review.Version{State: s}, review.Version{State: next}, nil).Text(0, ""))
	if !yes {
		fmt.Fprintln(stdout(), "nothing was written; -yes frees them")
		return nil
	}
	if err := f.Save(ctx, generated.File{Name: stateFile, Before: old, After: next.Encode()}); err != nil {
		return err
	}
	fmt.Fprintln(stdout(), "wrote", f.File(stateFile)+"; run `mage plan` now: the plan is older than the state")
	return nil
}
