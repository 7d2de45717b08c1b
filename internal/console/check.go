package console

import (
	"os"
	"strings"
	"sync"
	"testing"
)

// Walk runs every command of a document in turn, and holds its output to the one that
// the document shows. With update it writes the outputs of the document anew.
func Walk(t testing.TB, file string, update bool, run func(Command) (output string)) {
	t.Helper()
	walk(t, file, update, func(c Command) (string, bool) { return run(c), true })
}

// Check does so for one command, which has run already. The document must have it once.
func Check(t testing.TB, file string, update bool, command, output string) {
	t.Helper()
	found := 0
	walk(t, file, update, func(c Command) (string, bool) {
		if c.Line != command {
			return "", false
		}
		found++
		return output, true
	})
	if found != 1 {
		t.Errorf("%s has the command %q %d times", file, command, found)
	}
}

var writing sync.Mutex // tests of one package can run in parallel

func walk(t testing.TB, file string, update bool, run func(Command) (string, bool)) {
	t.Helper()
	writing.Lock()
	defer writing.Unlock()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v", err)
	}
	d := Parse(string(text))
	outputs := make([][]string, len(d.Commands))
	changed := false
	for i, c := range d.Commands {
		outputs[i] = c.Output
		out, ran := run(c)
		lines := split(out)
		if !ran || Match(c.Output, lines) {
			continue
		}
		if renewed, ok := Renew(c.Output, lines); update && ok {
			outputs[i], changed = renewed, true
			continue
		}
		t.Errorf("$ %s\nprints\n%s\nand %s has\n%s\n-update writes the output anew; the first line after each ... must begin as before.",
			c.Line, strings.Join(lines, "\n"), file, strings.Join(c.Output, "\n"))
	}
	if changed {
		if err := os.WriteFile(file, []byte(d.With(outputs)), 0o644); err != nil {
			t.Fatalf("%v", err)
		}
	}
}

// split returns the lines of an output, without spaces at their ends.
func split(out string) []string {
	out = strings.TrimRight(out, "\n")
	if out == "" {
		return nil
	}
	lines := strings.Split(out, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return lines
}
