package deploy_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// constants returns the texts of a file's constants whose names begin so.
func constants(t *testing.T, file, prefix string) map[string]bool {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	ast.Inspect(parsed, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, prefix) || len(spec.Values) != 1 {
			return true
		}
		if literal, ok := spec.Values[0].(*ast.BasicLit); ok {
			text, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			found[text] = true
		}
		return true
	})
	if len(found) < 5 {
		t.Fatalf("%s has no constants %s...", file, prefix)
	}
	return found
}

// first returns the words in the first column of a section's table.
func first(t *testing.T, document, section string) map[string]bool {
	t.Helper()
	_, text, found := strings.Cut(document, "\n## "+section+"\n")
	if !found {
		t.Fatalf("there is no section %q", section)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	words := map[string]bool{}
	for line := range strings.Lines(text) {
		if cell, ok := strings.CutPrefix(line, "| `"); ok {
			cell, _, _ = strings.Cut(cell, " |")
			for _, word := range regexp.MustCompile(`[a-z]+(-[a-z]+)*`).FindAllString(cell, -1) {
				words[word] = true
			}
		}
	}
	return words
}

// docs/deploy.md has every finding, final state and reason of one, and no other.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]bool{string(deploy.StatePending): true}
	for state := range constants(t, "event.go", "State") {
		if deploy.State(state).Final() {
			states[state] = true
		}
	}
	for reason := range constants(t, "event.go", "Reason") {
		states[reason] = true
	}
	for section, want := range map[string]map[string]bool{
		"Preflight, and what to do": constants(t, "preflight.go", "Finding"),
		"States of a profile":       states,
	} {
		got := first(t, string(text), section)
		for word := range want {
			if !got[word] {
				t.Errorf("%s: %s is not there", section, word)
			}
		}
		for word := range got {
			if !want[word] {
				t.Errorf("%s: nothing is called %s", section, word)
			}
		}
	}
}
