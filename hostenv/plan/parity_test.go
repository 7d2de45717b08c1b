package plan_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
)

// A parityRow is one deliberate difference from today's generator: a row of
// golden/parity.json.
type parityRow struct {
	ID    string `json:"id"`
	Today string `json:"today"`
	Now   string `json:"now"`
	// Differences are patterns of difference.String, in which * stands for
	// one member, whatever dots and slashes it holds.
	Differences []string `json:"differences"`
	// Error is what the refusal says, where today's generator makes a plan or
	// says something less clear.
	Error string `json:"error"`
	// Scenarios are where the row applies, by number; the row must be seen in
	// each of them, and is not allowed in any other. Without any it applies
	// everywhere.
	Scenarios []string `json:"scenarios"`
	// Tests show a row that is not the generator's, or that no scenario can
	// show: "package:TestName", or a case of nix/tests.
	Tests []string `json:"tests"`

	patterns []*regexp.Regexp
	refusal  *regexp.Regexp
}

func parityRows(t *testing.T) []*parityRow {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(goldenDir, "parity.json"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []*parityRow
	if err := json.Unmarshal(data, &rows); err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, row := range rows {
		if row.ID == "" || ids[row.ID] || row.Now == "" {
			t.Errorf("the row %q needs an id of its own and what is now", row.ID)
		}
		ids[row.ID] = true
		for _, pattern := range row.Differences {
			row.patterns = append(row.patterns, regexp.MustCompile("^"+strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `[^\x00]*`)+"$"))
		}
		if row.Error != "" {
			row.refusal = regexp.MustCompile(row.Error)
		}
	}
	return rows
}

func (row *parityRow) appliesTo(scenario string) bool {
	number, _, _ := strings.Cut(scenario, "-")
	return len(row.Scenarios) == 0 || slices.Contains(row.Scenarios, number)
}

// A difference is one place where two documents differ, at the outermost.
type difference struct {
	document, kind string // kind: added, removed, changed
	path           []string
	before, after  any
}

func (d difference) String() string {
	quoted := make([]string, len(d.path))
	for i, name := range d.path {
		quoted[i] = strings.ReplaceAll(name, "/", "~1")
	}
	return d.document + " " + d.kind + " /" + strings.Join(quoted, "/")
}

func differences(document string, path []string, before, after any) []difference {
	a, aObject := before.(map[string]any)
	b, bObject := after.(map[string]any)
	if aObject && bObject {
		var all []difference
		keys := maps.Clone(a)
		maps.Copy(keys, b)
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			inner := append(slices.Clone(path), key)
			x, inA := a[key]
			y, inB := b[key]
			switch {
			case inA && inB:
				all = append(all, differences(document, inner, x, y)...)
			case inA:
				all = append(all, difference{document, "removed", inner, x, nil})
			default:
				all = append(all, difference{document, "added", inner, nil, y})
			}
		}
		return all
	}
	if string(canonjson.Encode(before)) == string(canonjson.Encode(after)) {
		return nil
	}
	return []difference{{document, "changed", path, before, after}}
}

func readDocument(t *testing.T, path string) map[string]any {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	v, err := canonjson.Decode(data)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return v.(map[string]any)
}

// TestParity holds ours against the recorded runs of today's generator: every
// difference is a row of golden/parity.json, and every row is shown by the
// scenarios and tests that it names.
func TestParity(t *testing.T) {
	rows := parityRows(t)
	shown := map[string]bool{} // row and scenario
	explained := func(scenario string, match func(*parityRow) bool) bool {
		found := false
		for _, row := range rows {
			if row.appliesTo(scenario) && match(row) {
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
		refusal := ""
		if o.err != nil {
			refusal = refusalText(o.err)
		}
		byRefusal := func(row *parityRow) bool { return row.refusal != nil && row.refusal.MatchString(refusal) }
		switch {
		case noPlan != nil && noError != nil: // a scenario of our own
			explained(scenario, func(row *parityRow) bool {
				return refusal != "" && byRefusal(row) || len(row.Scenarios) > 0 && row.refusal == nil
			})
		case refusal != "":
			if !explained(scenario, byRefusal) {
				t.Errorf("%s: today's generator does not refuse it so, and no row of parity.json says why we do:\n%s", scenario, refusal)
			}
		case noPlan != nil:
			t.Errorf("%s: today's generator refuses what we plan", scenario)
		default:
			plans := differences("plan", nil, readDocument(t, legacyPlan), decoded(t, o.Plan.Encode()))
			states := differences("state", nil, readDocument(t, filepath.Join(dir, "legacy-state.json")), decoded(t, o.State.Encode()))
			for _, d := range append(plans, states...) {
				text := d.String()
				if !explained(scenario, func(row *parityRow) bool {
					return slices.ContainsFunc(row.patterns, func(p *regexp.Regexp) bool { return p.MatchString(text) })
				}) {
					t.Errorf("%s: no row of parity.json has\n%s\nbefore %s\nafter %s", scenario, text, brief(d.before), brief(d.after))
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

func brief(v any) string {
	text := fmt.Sprint(v)
	if len(text) > 300 {
		text = text[:300] + " ..."
	}
	return text
}

func decoded(t *testing.T, data []byte) any {
	t.Helper()
	v, err := canonjson.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// checkTestExists finds "path/to/file: text" in the repository: a row that a
// test shows must not outlive the test.
func checkTestExists(t *testing.T, row, test string) {
	t.Helper()
	file, text, ok := strings.Cut(test, ": ")
	data, err := os.ReadFile(filepath.Join("../..", file))
	if !ok || err != nil || !strings.Contains(string(data), text) {
		t.Errorf("the row %q is said to be shown by %q, which is not there (%v)", row, test, err)
	}
}
