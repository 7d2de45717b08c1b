package report

import (
	"io"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// cell returns a text as one line for a table. A second line would look like
// another row.
func cell(text string) string { return strings.ReplaceAll(problem.Visible(text), "\n", " ") }

// indented returns a text with every line but the first indented, so that they
// cannot look like lines of our own.
func indented(text string) string {
	return strings.ReplaceAll(problem.Visible(strings.TrimSpace(text)), "\n", "\n  ")
}

// A visible writer writes text through [problem.Visible]. Each Write must hold
// whole characters.
type visible struct{ w io.Writer }

func (v visible) Write(text []byte) (int, error) {
	if _, err := io.WriteString(v.w, problem.Visible(string(text))); err != nil {
		return 0, err
	}
	return len(text), nil
}
