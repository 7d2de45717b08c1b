package report

import (
	"io"
	"strings"
	"unicode"
)

// Visible returns a text that does nothing to the terminal that shows it: nodes,
// programs and customers' builds have a part in errors. Ends of lines and
// tabulators stay.
func Visible(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && unicode.IsControl(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
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
