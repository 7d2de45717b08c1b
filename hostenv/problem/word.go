package problem

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:@%+,-][A-Za-z0-9_./:@%+,=~-]*$`)

// Word returns text as one word of a shell, for the command in a hint. It quotes
// only text that needs quotes: POSIX's own, or for a text with a backtick, which
// ends the command in a hint, or a character that is not graphic, those of bash and
// zsh.
func Word(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	special := func(r rune) bool { return r == '`' || !unicode.IsGraphic(r) }
	if !strings.ContainsFunc(text, special) {
		return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
	}
	var b strings.Builder
	b.WriteString("$'")
	for _, r := range text {
		switch {
		case r == '\\' || r == '\'':
			b.WriteByte('\\')
			b.WriteRune(r)
		case !special(r):
			b.WriteRune(r)
		case r == '`' || r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			b.WriteString(escape(r))
		}
	}
	b.WriteByte('\'')
	return b.String()
}
