package names

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// A Ref is a branch or tag as it is written below refs/heads/, or a whole name
// below refs/. It is printed within quotes: git allows quotes, dollars and
// semicolons in it.
type Ref string

// ParseRef parses a ref by the rules of git-check-ref-format(1), with one more:
// it is UTF-8, as JSON and Nix require.
func ParseRef(s string) (Ref, error) {
	switch {
	case s == "":
		return "", errors.New("it is empty")
	case !utf8.ValidString(s):
		return "", errors.New("it is not UTF-8")
	case s == "@" || strings.Contains(s, "@{") || strings.Contains(s, ".."):
		return "", errors.New("it holds @{ or .., or is @, which git reads as revisions")
	case strings.HasSuffix(s, "."):
		return "", errors.New("it ends with a dot")
	case strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`~^:?*[\`, r) }):
		return "", errors.New(`it holds a blank, a control character or one of ~ ^ : ? * [ \`)
	}
	for part := range strings.SplitSeq(s, "/") {
		if part == "" || part[0] == '.' || strings.HasSuffix(part, ".lock") {
			return "", errors.New("it has a part between slashes that is empty, begins with a dot, or ends with .lock")
		}
	}
	return Ref(s), nil
}
