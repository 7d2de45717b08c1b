package names

import (
	"errors"
	"regexp"
	"strings"
)

// A Ref is a branch or tag of git, or a full name below refs/: letters, digits and
// _ . / # @ + % = , - in ASCII, a letter, a digit, _, @ or + first, and nothing that git refuses
// (git help check-ref-format).
//
// The ref of an environment that sets none is the environment's own name, which git
// may refuse ("déjà vu"), and which is not parsed. Git refuses it when Nix locks the
// source, for that project alone.
type Ref string

var plainRef = regexp.MustCompile(`^[A-Za-z0-9_@+][A-Za-z0-9_./#@+%=,-]*$`)

// ParseRef parses a ref.
func ParseRef(s string) (Ref, error) {
	switch {
	case s == "":
		return "", errors.New("it is empty")
	case len(s) > maxWord:
		return "", errors.New("it is too long for the name of a file")
	case !plainRef.MatchString(s):
		return "", errors.New("it must be letters, digits and _ . / # @ + % = , -, with a letter, a digit, _, @ or + first")
	case s == "@" || strings.Contains(s, "..") || strings.HasSuffix(s, "."):
		return "", errors.New("it is @, holds two dots in a row, or ends with a dot, which git refuses")
	}
	for part := range strings.SplitSeq(s, "/") {
		if part == "" || strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock") {
			return "", errors.New("it has a part between slashes that is empty, begins with a dot or ends with .lock, which git refuses")
		}
	}
	return Ref(s), nil
}
