package names

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Ref is a branch or tag of git, or a full name below refs/. It is printed
// within quotes.
//
// It may be any text on one line. The ref of an environment that sets none is
// the environment's own name, which git may refuse ("déjà vu"). It does so when
// Nix locks the source, for that project alone, so we do not repeat git's rules.
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
