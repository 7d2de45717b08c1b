package report

import (
	"io"
	"strings"
	"unicode"
)

// Visible returns a text that does nothing to the terminal that shows it: nodes,
// programs and customers' builds have a part in names, links and errors. Of what
// is no character to see, line breaks alone stay.
func Visible(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r != '\n' && !unicode.IsGraphic(r):
			return '?'
		}
		return r
	}, strings.ToValidUTF8(strings.ReplaceAll(text, "\r\n", "\n"), "?"))
}

// cell is a text for a table, of one line: another line looks like another's.
func cell(text string) string { return strings.ReplaceAll(Visible(text), "\n", " ") }

// indented is a text whose further lines are nobody else's.
func indented(text string) string {
	return strings.ReplaceAll(Visible(strings.TrimSpace(text)), "\n", "\n  ")
}

// A visible writer writes what is [Visible]. Whoever writes to it cuts no
// character in two.
type visible struct{ w io.Writer }

func (v visible) Write(text []byte) (int, error) {
	if _, err := io.WriteString(v.w, Visible(string(text))); err != nil {
		return 0, err
	}
	return len(text), nil
}
