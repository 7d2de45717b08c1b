package remote

import (
	"errors"
	"strings"
)

var errNUL = errors.New("an argument holds a NUL byte, which no command can receive")

// Quote joins arguments into a line from which a POSIX shell reads the same
// arguments again, including line breaks. It refuses an argument with a NUL byte.
//
// It quotes every argument, so that the shell takes none for a keyword, an
// assignment, a pattern or a home directory.
func Quote(argv ...string) (string, error) {
	var b strings.Builder
	for i, arg := range argv {
		if strings.IndexByte(arg, 0) >= 0 {
			return "", errNUL
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString("'" + strings.ReplaceAll(arg, "'", `'\''`) + "'")
	}
	return b.String(), nil
}
