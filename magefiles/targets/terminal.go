package targets

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// report writes an error and its hint.
func report(w io.Writer, err error) {
	fmt.Fprintf(w, "error: %v\n", err)
	var hinter interface{ Hint() string }
	if errors.As(err, &hinter) && hinter.Hint() != "" {
		fmt.Fprintf(w, "hint: %s\n", hinter.Hint())
	}
}

func warn(warnings []state.Warning) {
	for _, w := range warnings {
		fmt.Fprintf(os.Stderr, "warning: %s: %s\n", w.Subject, w.Message)
	}
}

// colourful tells whether f is a terminal whose user has nothing against
// colour (no-color.org).
func colourful(f *os.File) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}

// printDiff writes the unified difference of two versions of a file.
func printDiff(path string, before, after []byte) {
	text := diff.Diff("a/"+path, before, "b/"+path, after)
	if !colourful(os.Stdout) {
		os.Stdout.Write(text)
		return
	}
	colours := map[byte]string{'+': "\x1b[32m", '-': "\x1b[31m", '@': "\x1b[36m"}
	for line := range bytes.Lines(text) {
		if colour, ok := colours[line[0]]; ok {
			fmt.Printf("%s%s\x1b[m\n", colour, bytes.TrimSuffix(line, []byte("\n")))
		} else {
			os.Stdout.Write(line)
		}
	}
}

// progress shows what Nix is at: on a terminal one line that is overwritten,
// elsewhere a line each. The function that it returns with it ends the line.
func progress() (show func(nix.Event), done func()) {
	verbs := map[nix.Phase]string{nix.Evaluate: "evaluating", nix.Fetch: "locking"}
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		return func(e nix.Event) { fmt.Fprintf(os.Stderr, "%s %s%s\n", verbs[e.Phase], e.Subject, count(e)) }, func() {}
	}
	shown := false
	return func(e nix.Event) {
			shown = true
			fmt.Fprintf(os.Stderr, "\r\x1b[K%s %s%s", verbs[e.Phase], e.Subject, count(e))
		}, func() {
			if shown {
				fmt.Fprint(os.Stderr, "\r\x1b[K")
			}
		}
}

func count(e nix.Event) string {
	if e.Total == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d of %d)", e.Number, e.Total)
}
