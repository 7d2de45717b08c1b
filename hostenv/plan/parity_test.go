package plan_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan/parity"
)

// appliesTo reports whether a row must appear in a scenario. Otherwise it must not.
func appliesTo(row *parity.Row, scenario string) bool {
	number, _, _ := strings.Cut(scenario, "-")
	return len(row.Scenarios) == 0 || slices.Contains(row.Scenarios, number)
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func documents(t *testing.T, plan, state []byte) parity.Documents {
	t.Helper()
	d, err := parity.DecodeDocuments(plan, state)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestParity compares our plans with recorded runs of the legacy generator. Every
// difference must have a row in golden/parity.json, and every row must appear in the
// scenarios and tests that it names.
func TestParity(t *testing.T) {
	rows := parity.Rows()
	shown := map[string]bool{} // row and scenario
	explained := func(scenario string, match func(*parity.Row) bool) bool {
		found := false
		for _, row := range rows {
			if appliesTo(row, scenario) && match(row) {
				found = true
				number, _, _ := strings.Cut(scenario, "-")
				shown[row.ID+" "+number] = true
				shown[row.ID] = true
			}
		}
		return found
	}
	for _, dir := range scenarios(t) {
		scenario := filepath.Base(dir)
		legacyPlan, legacyError := filepath.Join(dir, "legacy-plan.json"), filepath.Join(dir, "legacy-error.txt")
		_, noPlan := os.Stat(legacyPlan)
		_, noError := os.Stat(legacyError)
		o := run(t, dir)
		refusal := o.refusal
		byRefusal := func(row *parity.Row) bool { return row.Refuses(refusal) }
		switch {
		case noPlan != nil && noError != nil: // there is no recorded run
			explained(scenario, func(row *parity.Row) bool {
				return refusal != "" && byRefusal(row) || len(row.Scenarios) > 0 && row.Error == ""
			})
		case refusal != "":
			if !explained(scenario, byRefusal) {
				t.Errorf("%s: the legacy generator does not refuse it so, and no row of parity.json says why we do:\n%s", scenario, refusal)
			}
		case noPlan != nil:
			t.Errorf("%s: the legacy generator refuses what we plan", scenario)
		default:
			ours := documents(t, o.Plan.Encode(), o.State.Encode())
			ours.DeployPublicKeys = o.deployKeys
			comparison := parity.NewComparison(documents(t, readFile(t, legacyPlan), readFile(t, filepath.Join(dir, "legacy-state.json"))), ours)
			for _, d := range comparison.Differences() {
				because := comparison.Explain(d)
				if !explained(scenario, func(row *parity.Row) bool { return slices.Contains(because, row) }) {
					t.Errorf("%s: no row of parity.json explains %s", scenario, d.Text())
				}
			}
		}
	}
	for _, row := range rows {
		if len(row.Scenarios) == 0 && len(row.Tests) == 0 && !shown[row.ID] {
			t.Errorf("no scenario shows the row %q", row.ID)
		}
		for _, number := range row.Scenarios {
			if !shown[row.ID+" "+number] {
				t.Errorf("the scenario %s does not show the row %q", number, row.ID)
			}
		}
		for _, test := range row.Tests {
			checkTestExists(t, row.ID, test)
		}
	}
}

func decoded(t *testing.T, data []byte) any {
	t.Helper()
	v, err := canonjson.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// checkTestExists checks that the text of "path/to/file: text" exists in the repository.
// A row that refers to a test must be removed with the test.
func checkTestExists(t *testing.T, row, test string) {
	t.Helper()
	file, text, ok := strings.Cut(test, ": ")
	data, err := os.ReadFile(filepath.Join("../..", file))
	if !ok || err != nil || !strings.Contains(string(data), text) {
		t.Errorf("the row %q names the test %q, which does not exist (%v)", row, test, err)
	}
}
