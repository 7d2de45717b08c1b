package deploy

import (
	"strings"
	"unicode"
)

// plain is a line that others wrote, without what a terminal would take for
// orders, and no longer than people read: width characters.
func plain(line string, width int) string {
	line = strings.TrimRight(strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r':
			return -1
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsGraphic(r):
			return '?'
		}
		return r
	}, strings.ToValidUTF8(line, "?")), " ")
	if runes := []rune(line); len(runes) > width {
		return string(runes[:width]) + "..."
	}
	return line
}
