package problem

import (
	"strings"
	"unicode"
)

// Visible returns text in a form that is safe on a terminal, because names, links and
// errors may come from nodes, programs and customers' builds. Every character that is
// not graphic (Unicode categories L, M, N, P, S, Zs) becomes "?", a tab becomes a space,
// and line breaks stay.
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

// maxText limits the text of an error, which may quote its input, in bytes.
const maxText = 8 << 10

func shortened(text string) string {
	text = Visible(text)
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "..."
}
