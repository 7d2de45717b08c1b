package plan

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// A Selection says which environments a plan plans anew. All others stay as the last
// plan has them, with source and configuration. The zero value selects all.
//
// The patterns are those of path.Match: *, ? and [a-z].
type Selection struct {
	Projects     []string // names of flake inputs, organisation__project; none for all
	Environments []string // user names; none for all
}

// All reports whether the selection has no patterns, and so selects everything.
func (s Selection) All() bool { return len(s.Projects)+len(s.Environments) == 0 }

func (s Selection) selects(input, user string) bool {
	return matchesAny(s.Projects, input) && matchesAny(s.Environments, user)
}

// MayNeed reports whether an environment of a project may be selected, as far as the
// prior state shows: a pattern may match one that is new. Other projects need not be
// evaluated.
func (s Selection) MayNeed(input string, prior state.State) bool {
	if !matchesAny(s.Projects, input) {
		return false
	}
	p, _ := projectOf(input)
	for _, pattern := range s.Environments {
		e, known := prior.Entries[pattern]
		if !known || e.Retired || e.Organisation == p.Organisation && e.Project == p.Project {
			return true
		}
	}
	return len(s.Environments) == 0
}

// Users returns the environments of a plan that the selection matches, sorted. A
// pattern without a match is a mistake.
func (s Selection) Users(d Document) ([]string, error) {
	var users, all, inputs []string
	for _, user := range slices.Sorted(maps.Keys(d.Environments)) {
		e := d.Environments[user]
		input := e.Hostenv.Organisation + "__" + e.Hostenv.Project
		all, inputs = append(all, user), append(inputs, input)
		if s.selects(input, user) {
			users = append(users, user)
		}
	}
	slices.Sort(inputs)
	wrong := s.unmatched(slices.Compact(inputs), all)
	if len(wrong) == 0 && len(users) == 0 {
		wrong.Add(errDisjoint)
	}
	return users, wrong.Err()
}

var errDisjoint = problem.New("", "-project and -env together match no environment", "name environments of the projects; `mage state:list` shows them")

// matchesAny reports whether a pattern matches a name. No patterns match every name.
func matchesAny(patterns []string, name string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, _ := path.Match(pattern, name)
		return ok
	})
}

// unmatched returns an error for each pattern that matches nothing.
func (s Selection) unmatched(inputs, users []string) (wrong problem.List) {
	for _, flag := range []struct {
		name, unmatched string
		patterns, known []string
	}{
		{"-project", "-project %q matches no project", s.Projects, inputs},
		{"-env", "-env %q matches no environment", s.Environments, users},
	} {
		for _, pattern := range flag.patterns {
			if _, err := path.Match(pattern, ""); err != nil {
				wrong.Addf("", "write *, ? or [a-z] in it", "%s: %q is not a valid pattern", flag.name, pattern)
			} else if !slices.ContainsFunc(flag.known, func(name string) bool { return matchesAny([]string{pattern}, name) }) {
				wrong.Addf("", meant(pattern, flag.known, someOf(flag.known)), flag.unmatched, pattern)
			}
		}
	}
	return wrong
}

// someOf is a hint that lists names, at most twelve.
func someOf(names []string) string {
	const most = 12
	switch {
	case len(names) == 0:
		return "`mage state:list` shows the environments"
	case len(names) > most:
		return fmt.Sprintf("there are %s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return "there are " + problem.Join(names)
}

// staying is what stays as the last plan has it because the operator wants so: projects
// on hold, and what a [Selection] or a [Back] leaves out.
type staying struct {
	only      Selection
	unplanned map[string]bool   // projects that are not selected
	partial   map[string]bool   // projects of which some environments are selected
	holds     map[string]string // reasons of provider.hold
	problems  problem.List      // of provider.hold
	unmatched problem.List      // of the selection
}

func (s staying) project(input string) bool { return s.unplanned[input] || s.holds[input] != "" }

// projects returns the projects that stay.
func (s staying) projects() []string {
	return slices.AppendSeq(slices.Collect(maps.Keys(s.unplanned)), maps.Keys(s.holds))
}

// unselected reports whether an environment stays because it is not selected.
func (s staying) unselected(e *placed) bool {
	return e.last != nil && (s.unplanned[e.Input] || s.partial[e.Input])
}

// environments returns the live environments that stay though others of their project
// are planned, and completes the inputs by project.
func (s staying) environments(prior state.State, inputs map[state.Project]string) (users []string) {
	for input := range s.partial {
		p, _ := projectOf(input)
		if _, whole := inputs[p]; whole {
			continue
		}
		inputs[p] = input
		for user, e := range prior.Entries {
			if !e.Retired && e.Organisation == p.Organisation && e.Project == p.Project && !s.only.selects(input, user) {
				users = append(users, user)
			}
		}
	}
	slices.Sort(users)
	return users
}

// staying finds what stays of all that is known.
func (in Input) staying() staying {
	inv := in.Inventory
	s := staying{only: inv.Only, unplanned: map[string]bool{}, partial: map[string]bool{}, holds: map[string]string{}}
	k := in.known()
	for _, input := range slices.Sorted(maps.Keys(inv.Provider.Hold)) {
		where := "provider.hold." + quoteAttribute(input)
		switch reason := inv.Provider.Hold[input]; {
		case k.live[input]:
			s.holds[input] = reason
		case slices.Contains(k.inputs, input):
			s.problems.Addf(where, "remove it, plan the project, and hold it then; or remove the input, if it is not to be planned yet", "cannot keep the project as it is: no plan has it yet")
		default:
			s.problems.Addf(where, meant(input, k.inputs, someOf(k.inputs)), "names no project")
		}
	}
	if in.Back == nil && s.only.All() {
		return s
	}
	if in.Last == nil {
		s.unmatched.Addf("", "run `mage plan` without -project and -env, and commit generated/", "there is no plan yet in which the other environments stay as they are")
		return s
	}
	if in.Back != nil {
		for _, input := range k.inputs {
			s.unplanned[input] = true
		}
		return s
	}
	s.unmatched = s.only.unmatched(k.inputs, slices.Sorted(maps.Keys(k.users)))
	s.choose(k)
	return s
}

// choose finds the projects that a selection leaves out, whole or in part.
func (s *staying) choose(k known) {
	left := map[string]bool{} // projects with an environment that is left out
	planned := map[string]bool{}
	for user, input := range k.users {
		if s.only.selects(input, user) {
			planned[input] = true
		} else {
			left[input] = true
		}
	}
	var onHold []string
	works := false
	for _, input := range k.inputs {
		if len(s.only.Environments) == 0 && matchesAny(s.only.Projects, input) {
			planned[input] = true // it may have no environment yet
		}
		switch {
		case !planned[input]:
			s.unplanned[input] = true
		case s.holds[input] != "":
			onHold = append(onHold, input)
		default:
			works = true
			if left[input] {
				s.partial[input] = true
			}
		}
	}
	switch {
	case len(s.unmatched) > 0 || works:
	case len(onHold) > 0:
		s.unmatched.Addf("", "remove provider.hold."+quoteAttribute(onHold[0])+" to plan it again", "-project and -env match only what is on hold: %s", problem.Join(onHold))
	default:
		s.unmatched.Add(errDisjoint)
	}
}

// known are the projects and environments that a run knows of.
type known struct {
	inputs []string          // sorted
	users  map[string]string // of environments, live or new: their input
	live   map[string]bool   // projects with a live environment
}

func (in Input) known() known {
	k := known{users: map[string]string{}, live: map[string]bool{}}
	inputs := map[state.Project]string{}
	add := func(input string) {
		if p, ok := projectOf(input); ok && inputs[p] == "" && !slices.Contains(in.Inventory.Provider.notProjects, input) {
			inputs[p] = input
		}
	}
	for _, input := range slices.Sorted(maps.Keys(in.Inventory.Projects)) {
		add(input)
	}
	for _, f := range in.Failed {
		add(f.Project)
	}
	for _, input := range in.Inventory.Inputs {
		add(input)
	}
	for _, e := range in.State.Entries {
		if e.Organisation != "" && !e.Retired {
			add(e.Organisation + "__" + e.Project)
		}
	}
	for user, e := range in.State.Entries {
		if e.Organisation != "" && !e.Retired {
			input := inputs[state.Project{Organisation: e.Organisation, Project: e.Project}]
			k.users[user], k.live[input] = input, true
		}
	}
	for _, e := range in.Inventory.environments() {
		p, ok := projectOf(e.Input)
		if _, taken := k.users[e.UserName]; ok && !taken && inputs[p] == e.Input {
			k.users[e.UserName] = e.Input
		}
	}
	k.inputs = slices.Sorted(maps.Values(inputs))
	return k
}

// keptSlices returns the slices of a node that the last plan has, and all of whose
// environments stay because they are not selected. They keep their limits.
func (c *computation) keptSlices(node string, environments []*placed) map[string]slice {
	moves := map[string]bool{}
	some := false
	for _, e := range environments {
		moves[e.slice()] = moves[e.slice()] || !c.staying.unselected(e)
		some = some || !moves[e.slice()]
	}
	if !some || c.last == nil {
		return nil
	}
	var last systemd
	if v := c.last.Nodes[node].Carried.Get("systemd"); v == nil || json.Unmarshal(v, &last) != nil {
		return nil
	}
	maps.DeleteFunc(last.Slices, func(name string, _ slice) bool { m, known := moves[name]; return m || !known })
	return last.Slices
}

// say writes into the plan what is held back and what is on hold.
func (c *computation) say(d *Document) {
	back := map[string]HeldBack{}
	if c.last != nil { // what stays unplanned is held back as it was
		for input, was := range c.last.HeldBack {
			if c.staying.unplanned[input] && c.staying.holds[input] == "" {
				back[input] = was
			}
		}
	}
	for _, h := range c.heldBack() {
		back[h.Project] = h.document()
	}
	if len(back) > 0 {
		d.HeldBack = back
	}
	if len(c.staying.holds) > 0 {
		d.OnHold = maps.Clone(c.staying.holds)
	}
}

// allHeld returns the projects that a plan holds back, with the reasons of this run
// where it found them.
func (c *computation) allHeld(d Document) []Held {
	own := map[string]Held{}
	for _, h := range c.heldBack() {
		own[h.Project] = h
	}
	all := d.Held()
	for i, h := range all {
		if found, ok := own[h.Project]; ok {
			all[i] = found
		}
	}
	return all
}
