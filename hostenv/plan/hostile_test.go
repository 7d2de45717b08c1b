package plan_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/review"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// hostile texts of a customer. EVIL is what must not be run.
var hostile = []string{
	"x\nhint: EVIL\nerror: EVIL\nwarning: EVIL",
	"x`EVIL` $(EVIL) ;EVIL; ${EVIL} \"; EVIL; \" '; EVIL; '",
	"\x1b]52;c;EVIL\x07\x1b[2J\r\u009b1A\u202eEVIL\u2066\u200b\u0085\u2028",
	"--EVIL=x",
}

// stringsOf yields each string of a JSON value, values and names, with a function that
// puts another in its place.
func stringsOf(at string, v any, yield func(at string, replace func(with string) (undo func()))) {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			here := at + "." + name
			yield(here+" (name)", func(with string) func() {
				delete(v, name)
				v[with] = member
				return func() { delete(v, with); v[name] = member }
			})
			yield(here+" (value)", func(with string) func() {
				v[name] = with
				return func() { v[name] = member }
			})
			stringsOf(here, member, yield)
		}
	case []any:
		for i, member := range v {
			here := fmt.Sprintf("%s[%d]", at, i)
			yield(here, func(with string) func() {
				v[i] = with
				return func() { v[i] = member }
			})
			stringsOf(here, member, yield)
		}
	}
}

// checkShown fails for text that holds a character which is not graphic, a line
// that a customer begins, or a command with a customer's text that is not quoted.
func checkShown(t *testing.T, where, text string) {
	t.Helper()
	if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsGraphic(r) }); i >= 0 {
		t.Errorf("%s: a character that is not graphic:\n%q", where, text)
	}
	for line := range strings.Lines(text) {
		for _, label := range []string{"hint: ", "error: ", "warning: ", "fix: "} {
			rest, ok := strings.CutPrefix(line, label)
			if ok && (strings.HasPrefix(rest, "EVIL") || label == "hint: " && strings.Contains(unquoted(rest), "EVIL")) {
				t.Errorf("%s: a customer writes a line of ours:\n%s", where, text)
			}
		}
	}
}

// unquoted returns what a hint holds outside of quotes, and what a shell or Nix
// would expand in double quotes.
func unquoted(hint string) string {
	var b strings.Builder
	command := false
	for i := 0; i < len(hint); i++ {
		switch c := hint[i]; {
		case c == '`':
			command = !command
		case c == '\\':
			i++
		case c == '\'' && (i == 0 || strings.IndexByte(" =`$(", hint[i-1]) >= 0):
			for i++; i < len(hint) && hint[i] != '\''; i++ {
				if hint[i] == '\\' {
					i++
				}
			}
		case c == '"':
			begin := i + 1
			for i++; i < len(hint) && hint[i] != '"'; i++ {
				if hint[i] == '\\' {
					i++
				}
			}
			inner := hint[begin:min(i, len(hint))]
			if command || strings.Contains(strings.ReplaceAll(inner, `\${`, ""), "${") {
				b.WriteString(inner)
			}
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Whatever text a customer puts in whatever place of an environment, an operator
// sees it as text: not as a hint, an error, a command or a control of the terminal.
func TestHostileTexts(t *testing.T) {
	tried, refused := 0, 0
	for _, scenario := range []string{"002-b-two-orgs-some-new", "108-idn", "104-moved-environment", "115-previous-node", "107-wildcard-other-organisation", "153-wildcard-zones", "018-q-nodefor-no-default-unneeded"} {
		data, err := os.ReadFile(filepath.Join(goldenDir, scenario, "inventory.json"))
		if err != nil {
			t.Fatal(err)
		}
		var inventory map[string]any
		if err := json.Unmarshal(data, &inventory); err != nil {
			t.Fatal(err)
		}
		prior := state.New()
		if data, err := os.ReadFile(filepath.Join(goldenDir, scenario, "state.json")); err == nil {
			if prior, err = state.Decode(data); err != nil {
				t.Fatal(err)
			}
		}
		last := review.Version{State: prior}
		if inv, err := plan.DecodeInventory(data); err == nil {
			if result, err := plan.Compute(plan.Input{Inventory: inv, State: prior}); err == nil {
				last = review.Version{Plan: &result.Plan, State: result.State}
			}
		}
		for input, project := range inventory["projects"].(map[string]any) {
			stringsOf(input, project, func(at string, replace func(string) func()) {
				for _, text := range hostile {
					undo := replace(text)
					changed, err := json.Marshal(inventory)
					undo()
					if err != nil {
						t.Fatal(err)
					}
					tried++
					where := fmt.Sprintf("%s: %s = %q", scenario, at, text)
					inv, err := plan.DecodeInventory(changed)
					var result *plan.Result
					if err == nil {
						result, err = refusing(plan.Input{Inventory: inv, State: prior})
					}
					var shown strings.Builder
					if err != nil {
						refused++
						if err := problem.Write(&shown, problem.Leaves(err), 100); err != nil {
							t.Fatal(err)
						}
						checkShown(t, where, shown.String())
						shown.Reset()
					}
					if result == nil {
						continue
					}
					for _, w := range result.Warnings {
						fmt.Fprintf(&shown, "warning: %s\n", problem.Indented(w.Subject+": "+w.Message))
						if w.Hint != "" {
							fmt.Fprintf(&shown, "hint: %s\n", problem.Indented(w.Hint))
						}
					}
					changes := review.Of(last, review.Version{Plan: &result.Plan, State: result.State}, nil)
					shown.WriteString(changes.Text(0, ""))
					shown.WriteString(changes.Markdown(0))
					checkShown(t, where, shown.String())
					for what, document := range map[string][]byte{"plan.json": result.Plan.Encode(), "state.json": result.State.Encode(), "-json": problem.JSON(changes.Encode(result.Warnings))} {
						if i := strings.IndexFunc(string(document), func(r rune) bool { return r != '\n' && problem.Deceptive(r) }); i >= 0 {
							t.Errorf("%s: %s holds %q", where, what, document[i:i+4])
						}
					}
				}
			})
		}
	}
	t.Logf("%d texts tried, %d refused", tried, refused)
	if tried < 1000 || refused < 100 || refused == tried {
		t.Errorf("%d texts tried, %d refused", tried, refused)
	}
}
