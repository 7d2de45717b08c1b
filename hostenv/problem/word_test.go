package problem_test

import (
	"os/exec"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

func TestWord(t *testing.T) {
	for text, want := range map[string]string{
		"generated/state.json": "generated/state.json",
		"out dir":              "'out dir'",
		"":                     "''",
		"it's":                 `'it'\''s'`,
		"~root":                "'~root'",
		"a=b":                  "a=b",
		"=b":                   "'=b'",
		"$(id)\n;*?":           "'$(id)\n;*?'",
	} {
		got := problem.Word(text)
		if got != want {
			t.Errorf("the word of %q is %s, want %s", text, got, want)
		}
		if out, err := exec.Command("sh", "-c", "printf %s "+got).Output(); err != nil || string(out) != text {
			t.Errorf("a shell reads %s as %q (%v)", got, out, err)
		}
	}
}
