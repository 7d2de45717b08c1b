package targets

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/magefile/mage/mg"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// State is the namespace of the targets about generated/state.json.
type State mg.Namespace

// Init makes the state of a provider that never planned anything.
//
// It makes generated/state.json, and a .gitignore for what is not to be
// committed. It refuses where there is a state, or a plan whose state was lost.
func (State) Init(ctx context.Context,
	out *string, // the generated folder, default generated
) error {
	return fail(initState(ctx, out))
}

// ignored is generated/.gitignore: the lock, and the folder of locks, journals
// and logs.
const ignored = ".hostenv.lock\n.hostenv/\n.*.tmp\n"

func initState(ctx context.Context, out *string) (err error) {
	dir := folder(out)
	unlock, err := lock(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	path := filepath.Join(dir.Path(), stateFile)
	switch data, err := dir.Read(stateFile); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case !lost(data):
		return hinted(fmt.Errorf("there is a %s already", path), "run `mage plan`; to see what the state holds, run `mage state:list`")
	}
	switch data, err := dir.Read(planFile); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case plan.Users(data) > 0:
		return hinted(fmt.Errorf("%s names %d users, whose state was lost", filepath.Join(dir.Path(), planFile), plan.Users(data)),
			"restore the state (git checkout -- "+path+"): a new one would give their UIDs to others")
	}
	files := []file{{".gitignore", nil, []byte(ignored)}, {stateFile, nil, state.New().Encode()}}
	if err := writeFiles(ctx, dir, files); err != nil {
		return err
	}
	fmt.Println("wrote", path)
	return nil
}

// lost tells a state.json that holds nothing that could be lost any more.
func lost(data []byte) bool {
	text := strings.TrimSpace(string(data))
	return text == "" || text == "{}"
}

// List prints users, UIDs, nodes and host names of every environment.
//
// Live or retired: a retired environment left the inputs, and keeps its UID
// for ever and its names until `mage state:prune`.
func (State) List(
	json *bool, // print JSON
	out *string, // the generated folder, default generated
) error {
	s, _, err := readState(folder(out))
	if err != nil {
		return fail(err)
	}
	if value(json, false) {
		os.Stdout.Write(s.EncodeList())
		return nil
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
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
// It says which names are free again. Without -yes it only says so.
func (State) Prune(ctx context.Context,
	user *string, // only these users, separated by commas
	yes *bool, // write the state
	out *string, // the generated folder, default generated
) error {
	return fail(prune(ctx, value(user, ""), value(yes, false), out))
}

func prune(ctx context.Context, users string, yes bool, out *string) (err error) {
	dir := folder(out)
	if yes {
		unlock, err := lock(ctx, dir)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, unlock()) }()
	}
	s, old, err := readState(dir)
	if err != nil {
		return err
	}
	var only []string
	if users != "" {
		only = strings.Split(users, ",")
	}
	next, released, err := s.Prune(only...)
	if err != nil {
		return err
	}
	fmt.Print(plan.Changes{List: released}.Text())
	if !slices.ContainsFunc(released, func(c state.Change) bool { return c.Action == state.Release }) {
		return nil
	}
	if !yes {
		fmt.Println("nothing was written; free them with `mage state:prune -yes`, then run `mage plan`")
		return nil
	}
	if err := writeFiles(ctx, dir, []file{{stateFile, old, next.Encode()}}); err != nil {
		return err
	}
	fmt.Println("wrote", filepath.Join(dir.Path(), stateFile)+"; run `mage plan` now, for the plan is older than the state")
	return nil
}
