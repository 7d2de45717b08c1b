package deploy

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// A Selection selects the profiles of a run. Its patterns are those of path.Match:
// *, ? and [a-z].
type Selection struct {
	Nodes    []string `json:"nodes,omitempty"`    // names of nodes; none for all
	Profiles []string `json:"profiles,omitempty"` // users of environments, or "system"; none for all
	Exclude  []string `json:"exclude,omitempty"`  // nodes, profiles, or node/profile
}

// Of returns the nodes with their selected profiles, without nodes that have none.
// A pattern that matches no name is an error: it is a typing mistake, and a deploy
// of no profiles would succeed.
func (s Selection) Of(nodes []Node) ([]Node, error) {
	var nodeNames, users, keys []string
	var all []Node
	for _, n := range nodes {
		if len(n.Profiles) == 0 {
			continue
		}
		nodeNames = append(nodeNames, n.Name)
		selected := n
		selected.Profiles = nil
		for _, p := range n.Profiles {
			keys = append(keys, p.Key())
			if !p.IsSystem() {
				users = append(users, p.Name)
			}
			if (len(s.Nodes) == 0 || matches(s.Nodes, n.Name)) && (len(s.Profiles) == 0 || matches(s.Profiles, p.Name)) &&
				!matches(s.Exclude, n.Name, p.Name, p.Key()) {
				selected.Profiles = append(selected.Profiles, p)
			}
		}
		if len(selected.Profiles) > 0 {
			all = append(all, selected)
		}
	}
	slices.Sort(nodeNames)
	slices.Sort(users)
	either := slices.Sorted(slices.Values(slices.Concat(nodeNames, users)))
	var wrong problem.List
	for _, flag := range []struct {
		name, target string
		patterns     []string
		known        []string // the names that the hint lists
		others       []string // more names that the patterns match
	}{
		{"-node", "no node of the plan", s.Nodes, nodeNames, nil},
		{"-env", "no enabled environment of the plan", s.Profiles, users, []string{SystemProfile}},
		{"-exclude", "no node or environment of the plan", s.Exclude, either, append(keys, SystemProfile)},
	} {
		for _, pattern := range flag.patterns {
			if _, err := path.Match(pattern, ""); err != nil {
				wrong.Addf("", patternHint(nil), "%q is not a valid pattern", pattern)
			} else if !matches([]string{pattern}, append(flag.others, flag.known...)...) {
				wrong.Addf("", patternHint(flag.known), "%s %q matches %s", flag.name, pattern, flag.target)
			}
		}
	}
	if len(wrong) == 0 && len(all) == 0 {
		wrong.Addf("", patternHint(nil), "nothing is left to deploy")
	}
	return all, wrong.Err()
}

// matches reports whether any of the patterns matches any of the names.
func matches(patterns []string, names ...string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		return slices.ContainsFunc(names, func(name string) bool {
			ok, _ := path.Match(pattern, name)
			return ok
		})
	})
}

// patternHint lists the names that a pattern can match.
func patternHint(known []string) string {
	known = slices.Compact(known)
	const most = 12
	switch {
	case len(known) == 0:
		return "`mage state:list` shows the environments, with their nodes"
	case len(known) > most:
		return fmt.Sprintf("there are %s and %d more", strings.Join(known[:most], ", "), len(known)-most)
	}
	return "there are " + strings.Join(known, ", ")
}
