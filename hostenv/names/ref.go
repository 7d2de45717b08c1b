package names

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Ref is a branch or tag of git, or a whole name below refs/. It is printed
// within quotes.
//
// An environment that sets no ref has its own name as one, which may be none
// that git allows ("déjà vu"): git says so when the source is locked, and for
// that project alone. Here it only has to be text of one line.
type Ref string

// ParseRef parses a ref.
func ParseRef(s string) (Ref, error) {
	switch {
	case s == "":
		return "", errors.New("it is empty")
	case !utf8.ValidString(s):
		return "", errors.New("it is not UTF-8")
	case strings.ContainsFunc(s, unicode.IsControl):
		return "", errors.New("it holds a control character")
	}
	return Ref(s), nil
}
