package targets

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"

	"golang.org/x/term"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

func warn(warnings []state.Warning) {
	for _, w := range warnings {
		fmt.Fprintf(stderr(), "warning: %s\n", problem.Indented(w.Subject+": "+w.Message))
		if w.Hint != "" {
			fmt.Fprintf(stderr(), "hint: %s\n", problem.Indented(w.Hint))
		}
	}
}

// stdout and stderr let only visible text through. Only our own escape codes, and
// JSON, go to the files themselves.
func stdout() io.Writer { return problem.NewWriter(os.Stdout) }
func stderr() io.Writer { return problem.NewWriter(os.Stderr) }

// stdoutJSON takes whole JSON documents.
func stdoutJSON() io.Writer { return jsonWriter{} }

type jsonWriter struct{}

func (jsonWriter) Write(document []byte) (int, error) {
	_, err := os.Stdout.Write(problem.JSON(document))
	return len(document), err
}

// terminal reports whether f is a terminal that understands escape codes.
func terminal(f *os.File) bool {
	return os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}

// printDiff writes the unified difference of two versions of a file, as git
// apply and patch -p1 read it, in colour on a terminal without NO_COLOR
// (no-color.org).
func printDiff(path string, before, after []byte) error {
	path = strings.TrimPrefix(path, "/")
	old := "a/" + path
	if before == nil {
		old = "/dev/null"
	}
	text := problem.JSON(diff.Diff(old, before, "b/"+path, after))
	if terminal(os.Stdout) && os.Getenv("NO_COLOR") == "" {
		text = coloured(text)
	}
	_, err := os.Stdout.Write(text)
	return err
}

func coloured(text []byte) []byte {
	colours := map[byte]string{'+': "\x1b[32m", '-': "\x1b[31m", '@': "\x1b[36m"}
	var b bytes.Buffer
	for line := range bytes.Lines(text) {
		if colour, ok := colours[line[0]]; ok {
			fmt.Fprintf(&b, "%s%s\x1b[m\n", colour, bytes.TrimSuffix(line, []byte("\n")))
		} else {
			b.Write(line)
		}
	}
	return b.Bytes()
}

// progress returns a function that shows a line of progress on standard error: on
// a terminal in place of the line before, elsewhere below it. The function done
// erases the last line from a terminal.
func progress() (show func(line string), done func()) {
	if !terminal(os.Stderr) {
		return func(line string) { fmt.Fprintln(stderr(), line) }, func() {}
	}
	erase := ""
	return func(line string) {
			erase = "\r\x1b[K"
			fmt.Fprint(os.Stderr, erase, fitting(line))
		}, func() {
			fmt.Fprint(os.Stderr, erase)
		}
}

// counting is progress with numbers, which only a terminal shows.
func counting(what string) (show func(ready, total int), done func()) {
	line, done := progress()
	if !terminal(os.Stderr) {
		line(what)
		return func(int, int) {}, done
	}
	return func(ready, total int) { line(fmt.Sprintf("%s (%d of %d)", what, ready, total)) }, done
}

func doing(e nix.Event) string {
	verbs := map[nix.Phase]string{nix.Evaluate: "evaluating", nix.Fetch: "locking", nix.Building: "building"}
	text := verbs[e.Phase] + " " + e.Subject
	if e.Total > 0 {
		text += fmt.Sprintf(" (%d of %d)", e.Number, e.Total)
	}
	return problem.Line(text)
}

// fitting cuts a line that would wrap: only its last row could be erased.
func fitting(line string) string {
	width, _, err := term.GetSize(int(os.Stderr.Fd()))
	if runes := []rune(line); err == nil && 0 < width && width <= len(runes) {
		return string(runes[:width-1])
	}
	return line
}
