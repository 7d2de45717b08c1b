package realhostenv_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "record anew what golden/ has of hostenv's newest generator")

// recorded holds the scenarios of golden/ with a fleet, by its number of customers.
var recorded = []struct {
	name      string
	customers int
}{
	{"201-hostenv-two-customers", 2},
	{"202-hostenv-eight-customers", 8},
}

// TestRecorded compares the files of golden/ for fleets of the real hostenv with
// our inventory and with the output of hostenv's newest generator. hostenv/plan
// compares the two plans, for which it needs no fleet.
func TestRecorded(t *testing.T) {
	for _, scenario := range recorded {
		t.Run(scenario.name, func(t *testing.T) {
			f := newFleet(t, scenario.customers)
			_, state := f.reference(nil)
			plan, next := f.reference(state)
			for name, made := range map[string][]byte{
				"inventory.json":    f.inventory(),
				"state.json":        state,
				"legacy-plan.json":  plan,
				"legacy-state.json": next,
			} {
				file, made := filepath.Join(root, "golden", scenario.name, name), f.portable(made)
				if *update {
					if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(file, made, 0o666); err != nil {
						t.Fatal(err)
					}
					continue
				}
				if kept, err := os.ReadFile(file); err != nil || !bytes.Equal(kept, made) {
					t.Errorf("golden/%s/%s is not what is made of the fleet now (%v); `go tool mage record` records it anew%s", scenario.name, name, err, firstDifference(kept, made))
				}
			}
		})
	}
}

// firstDifference shows the first line that differs.
func firstDifference(kept, made []byte) string {
	a, b := bytes.Split(kept, []byte("\n")), bytes.Split(made, []byte("\n"))
	for i := range min(len(a), len(b)) {
		if !bytes.Equal(a[i], b[i]) {
			return "\n- " + string(a[i]) + "\n+ " + string(b[i])
		}
	}
	return ""
}
