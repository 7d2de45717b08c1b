package deployrs

import (
	"errors"
	"regexp"
	"strings"
)

// A target is a repository, one of its nodes, or one profile of that.
type target struct{ repo, node, profile string }

// An attribute is a word or a string, in which the last quote that is escaped is
// left as it is written.
var (
	attribute = `([A-Za-z_][A-Za-z0-9_'-]*|"(?:[^"\\]|\\.)+")`
	fragment  = regexp.MustCompile(`^\s*` + attribute + `(?:\.` + attribute + `?)?\s*$`)
	keyword   = regexp.MustCompile(`^(assert|else|if|in|inherit|let|rec|then|with)$`)
)

// parseTarget parses a target. deploy-rs parses the fragment as Nix, and refuses a
// single string.
func parseTarget(text string) (target, error) {
	repo, rest, found := strings.Cut(text, "#")
	t := target{repo: repo}
	if rest, _, _ = strings.Cut(rest, "#"); !found || strings.TrimSpace(rest) == "" {
		return t, nil
	}
	match := fragment.FindStringSubmatch(rest)
	if match == nil || keyword.MatchString(match[1]) || keyword.MatchString(match[2]) ||
		strings.HasPrefix(match[1], `"`) && !strings.Contains(rest[len(match[1]):], ".") {
		return t, errors.New("error parsing flake: unrecognized node or token encountered")
	}
	t.node, t.profile = unquote(match[1]), unquote(match[2])
	return t, nil
}

func unquote(word string) string { return strings.TrimSuffix(strings.TrimPrefix(word, `"`), `"`) }
