package remote

import (
	"errors"
	"strings"
)

var errNUL = errors.New("an argument holds a NUL byte, which no command can be given")

// Quote makes one line of arguments, from which a POSIX shell makes the same
// arguments again: every byte stands for itself, line breaks too. An argument
// with a NUL byte is refused.
//
// All words are quoted, so that none is taken for a keyword, an assignment, a
// pattern or a home directory.
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
