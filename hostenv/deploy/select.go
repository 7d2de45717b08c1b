package deploy

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// A Selection says which profiles a run is about. Patterns are those of
// path.Match: *, ? and [a-z].
type Selection struct {
	Nodes    []string `json:"nodes,omitempty"`    // names of nodes; none for all
	Profiles []string `json:"profiles,omitempty"` // users of environments, or "system"; none for all
	Exclude  []string `json:"exclude,omitempty"`  // nodes, profiles, or node/profile
}

// Of returns the nodes with the profiles that are selected, and those nodes
// alone that have any. A pattern that matches nothing is an error, for it is a
// mistake in typing whose deploy would be "done".
func (s Selection) Of(nodes []Node) ([]Node, error) {
	var wrong problem.List
	for _, pattern := range slices.Concat(s.Nodes, s.Profiles, s.Exclude) {
		if _, err := path.Match(pattern, ""); err != nil {
			wrong.Addf("", patternHint(nil), "%q is no pattern", pattern)
		}
	}
	if len(wrong) > 0 {
		return nil, wrong.Err()
	}
	met := map[string]bool{}
	matches := func(kind string, patterns []string, names ...string) bool {
		found := false
		for _, pattern := range patterns {
			for _, name := range names {
				if ok, _ := path.Match(pattern, name); ok {
					met[kind+pattern], found = true, true
				}
			}
		}
		return found
	}
	var all []Node
	for _, n := range nodes {
		if len(n.Profiles) == 0 {
			continue
		}
		named := matches("node", s.Nodes, n.Name) || len(s.Nodes) == 0
		out := matches("exclude", s.Exclude, n.Name)
		selected := n
		selected.Profiles = nil
		for _, p := range n.Profiles {
			wanted := matches("profile", s.Profiles, p.Name) || len(s.Profiles) == 0
			if matches("exclude", s.Exclude, p.Name, p.Key()) || out || !named || !wanted {
				continue
			}
			selected.Profiles = append(selected.Profiles, p)
		}
		if len(selected.Profiles) > 0 {
			all = append(all, selected)
		}
	}
	for _, of := range []struct {
		kind, flag, what string
		patterns         []string
	}{
		{"node", "-node", "no node of the plan", s.Nodes},
		{"profile", "-env", "no enabled environment of the plan", s.Profiles},
		{"exclude", "-exclude", "nothing of the plan", s.Exclude},
	} {
		for _, pattern := range of.patterns {
			if !met[of.kind+pattern] {
				wrong.Addf("", patternHint(known(nodes, of.kind)), "%s %q matches %s", of.flag, pattern, of.what)
			}
		}
	}
	if len(wrong) == 0 && len(all) == 0 {
		wrong.Addf("", patternHint(nil), "nothing is left to deploy")
	}
	return all, wrong.Err()
}

func known(nodes []Node, kind string) []string {
	var names []string
	for _, n := range nodes {
		if len(n.Profiles) == 0 {
			continue // nothing is deployed to it
		}
		if kind != "profile" {
			names = append(names, n.Name)
		}
		if kind == "node" {
			continue
		}
		for _, p := range n.Profiles {
			if !p.IsSystem() {
				names = append(names, p.Name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// patternHint lists the names that a pattern can match.
func patternHint(known []string) string {
	const most = 12
	switch {
	case len(known) == 0:
		return "`mage state:list` shows the environments, with their nodes"
	case len(known) > most:
		return fmt.Sprintf("there are %s and %d more", strings.Join(known[:most], ", "), len(known)-most)
	}
	return "there are " + strings.Join(known, ", ")
}
