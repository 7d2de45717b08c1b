package report

import (
	"io"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// cell is a text for a table, of one line: another line looks like another's.
func cell(text string) string { return strings.ReplaceAll(problem.Visible(text), "\n", " ") }

// indented is a text whose further lines cannot look like others.
func indented(text string) string {
	return strings.ReplaceAll(problem.Visible(strings.TrimSpace(text)), "\n", "\n  ")
}

// A visible writer writes what is [problem.Visible]. A write must not
// cut a character in two.
type visible struct{ w io.Writer }

func (v visible) Write(text []byte) (int, error) {
	if _, err := io.WriteString(v.w, problem.Visible(string(text))); err != nil {
		return 0, err
	}
	return len(text), nil
}
