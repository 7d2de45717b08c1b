package problem_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// bash returns what a shell reads as a word.
func bash(word string) ([]byte, error) {
	cmd := exec.Command("bash", "-c", "printf %s "+word)
	cmd.Env = []string{"LC_ALL=C.UTF-8", "PATH=" + os.Getenv("PATH")}
	return cmd.Output()
}

func TestWord(t *testing.T) {
	for text, want := range map[string]string{
		"generated/state.json": "generated/state.json",
		"out dir":              "'out dir'",
		"":                     "''",
		"it's":                 `'it'\''s'`,
		"~root":                "'~root'",
		"a=b":                  "a=b",
		"=b":                   "'=b'",
		"$(id);*?":             "'$(id);*?'",
		"a\nhint: b":           `$'a\x0ahint: b'`,
		"`id`'\\":              `$'\x60id\x60\'\\'`,
		"a\u202eb\x1b\u009b\t": `$'a\u202eb\x1b\u009b\x09'`,
		"\U000e0041":           `$'\U000e0041'`,
		"größer":               "'größer'",
	} {
		got := problem.Word(text)
		if got != want {
			t.Errorf("the word of %q is %s, want %s", text, got, want)
		}
		if out, err := bash(got); err != nil || string(out) != text {
			t.Errorf("a shell reads %s as %q (%v)", got, out, err)
		}
	}
}
