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

// Of returns the nodes with the profiles that are selected, without nodes that
// have none. A pattern that matches nothing is an error: it is a mistake in
// typing, and a deploy of nothing would succeed.
func (s Selection) Of(nodes []Node) ([]Node, error) {
	var wrong problem.List
	for _, pattern := range slices.Concat(s.Nodes, s.Profiles, s.Exclude) {
		if _, err := path.Match(pattern, ""); err != nil {
			wrong.Addf("", patternHint(nil), "%q is not a valid pattern", pattern)
		}
	}
	if len(wrong) > 0 {
		return nil, wrong.Err()
	}
	byNode := patterns{kind: "node", flag: "-node", what: "no node of the plan", list: s.Nodes}
	byProfile := patterns{kind: "profile", flag: "-env", what: "no enabled environment of the plan", list: s.Profiles}
	excluded := patterns{kind: "exclude", flag: "-exclude", what: "no node or environment of the plan", list: s.Exclude}
	var all []Node
	for _, n := range nodes {
		if len(n.Profiles) == 0 {
			continue
		}
		// Every pattern meets every name, also where another has decided.
		named := byNode.match(n.Name) || len(s.Nodes) == 0
		out := excluded.match(n.Name)
		selected := n
		selected.Profiles = nil
		for _, p := range n.Profiles {
			wanted := byProfile.match(p.Name) || len(s.Profiles) == 0
			if !excluded.match(p.Name, p.Key()) && !out && named && wanted {
				selected.Profiles = append(selected.Profiles, p)
			}
		}
		if len(selected.Profiles) > 0 {
			all = append(all, selected)
		}
	}
	for _, p := range []patterns{byNode, byProfile, excluded} {
		for _, pattern := range p.list {
			if !p.met[pattern] {
				wrong.Addf("", patternHint(known(nodes, p.kind)), "%s %q matches %s", p.flag, pattern, p.what)
			}
		}
	}
	if len(wrong) == 0 && len(all) == 0 {
		wrong.Addf("", patternHint(nil), "nothing is left to deploy")
	}
	return all, wrong.Err()
}

// patterns are those of one flag.
type patterns struct {
	kind string          // of the names that they match, see [known]
	flag string          // on the command line
	what string          // what one matches that is wrong
	list []string        // the patterns
	met  map[string]bool // those that match a name
}

// match reports whether any pattern matches any of the names, and notes all that
// do.
func (p *patterns) match(names ...string) bool {
	found := false
	for _, pattern := range p.list {
		for _, name := range names {
			if ok, _ := path.Match(pattern, name); ok {
				if p.met == nil {
					p.met = map[string]bool{}
				}
				p.met[pattern], found = true, true
			}
		}
	}
	return found
}

// known returns the names that the patterns of a kind can match.
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
