package plan_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/review"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

var update = flag.Bool("update", false, "rewrite what the scenarios of golden/ accept")

const goldenDir = "../../golden"

// scenarios returns the folders of golden/, in order.
func scenarios(t testing.TB) []string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(goldenDir, "[0-9]*"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no scenarios in %s: %v", goldenDir, err)
	}
	return dirs
}

// outcome is the outcome of a scenario: a result or an error.
type outcome struct {
	*plan.Result
	err        error    // of the run
	refusal    string   // what is refused: the run, or projects
	deployKeys []string // the provider's public keys
	prior      state.State
}

// run computes a scenario from its files, like `mage plan -inventory`. Without a
// state.json the scenario has the state of `mage state:init`, unless its name contains
// that the file is missing.
func run(t testing.TB, dir string) outcome {
	t.Helper()
	prior := state.New()
	data, err := os.ReadFile(filepath.Join(dir, "state.json"))
	switch {
	case err == nil:
		if prior, err = state.Decode(data); err != nil {
			return outcome{err: err, refusal: refusalText(err)}
		}
	case !errors.Is(err, fs.ErrNotExist):
		t.Fatal(err)
	}
	inventory, err := os.ReadFile(filepath.Join(dir, "inventory.json"))
	if err != nil {
		t.Fatal(err)
	}
	inv, err := plan.DecodeInventory(inventory)
	if err != nil {
		return outcome{err: err, refusal: refusalText(err)}
	}
	var last *plan.Document
	var sources plan.Sources
	if old, err := os.ReadFile(filepath.Join(dir, "old-plan.json")); err == nil {
		document, err := plan.DecodeDocument(old)
		if err != nil {
			t.Fatal(err)
		}
		sources, last = document.Sources(), &document
	}
	in := plan.Input{Inventory: inv, Sources: sources, State: prior, Last: last}
	result, err := plan.Compute(in)
	_, refused := refusing(in)
	return outcome{result, err, refusalText(refused), inv.Provider.DeployPublicKeys, prior}
}

// files returns the expected files of the scenario: plan, state and changes, or the
// errors with their hints.
func (o outcome) files() map[string][]byte {
	if o.err != nil {
		return map[string][]byte{"error.txt": []byte(refusalText(o.err))}
	}
	return map[string][]byte{
		"plan.json":       o.Plan.Encode(),
		"next-state.json": o.State.Encode(),
		"changes.json":    o.changes(),
	}
}

var accepted = []string{"plan.json", "next-state.json", "changes.json", "error.txt"}

// refusalText returns every error with its hint, in the form of the command line.
func refusalText(err error) string {
	var b strings.Builder
	for _, err := range problem.Leaves(err) {
		fmt.Fprintf(&b, "error: %v\n", err)
		if hint := problem.Hint(err); hint != "" {
			fmt.Fprintf(&b, "hint: %s\n", hint)
		}
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	for _, dir := range scenarios(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			files := run(t, dir).files()
			for _, name := range accepted {
				path := filepath.Join(dir, name)
				got, made := files[name]
				want, err := os.ReadFile(path)
				switch {
				case *update && made:
					if err := os.WriteFile(path, got, 0o666); err != nil {
						t.Fatal(err)
					}
				case *update:
					if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
						t.Fatal(err)
					}
				case made && err != nil:
					t.Errorf("%v; accept it with `go tool mage golden`:\n%s", err, got)
				case !made && err == nil:
					t.Errorf("%s is there, and the scenario makes none", path)
				case made && !bytes.Equal(want, got):
					t.Errorf("%s differs; read the difference, and accept it with `go tool mage golden`:\n%s", path, unified(path, want, got))
				}
			}
		})
	}
}

// changes returns what -json prints.
func (o outcome) changes() []byte {
	changes := review.Of(review.Version{State: o.prior}, review.Version{Plan: &o.Plan, State: o.State}, nil)
	changes.Held = o.Held
	return changes.Encode(o.Warnings)
}
