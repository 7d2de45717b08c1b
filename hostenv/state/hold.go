package state

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/names"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// A ClaimError reports claims that [State.Next] refuses. A step without the claims
// of these users may succeed. An error of Next that is no ClaimError is about the
// state or about options of the provider.
type ClaimError struct {
	Users []string // sorted
	Err   error
}

func (e *ClaimError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *ClaimError) Unwrap() error { return e.Err }

// refuse refuses the claims of users.
func (st *step) refuse(users []string, err error) {
	st.errs.Add(&ClaimError{users, err})
}

// A Project is an organisation's project, by its sanitised names.
type Project struct{ Organisation, Project string }

// A Hold is what keeps environments as they are in a step.
type Hold struct {
	// Kept has a claim for each live entry that stays, which claims what the entry
	// has.
	Kept []Kept
	// Moved and Transfers are those of the request, without those that concern what
	// stays: they wait.
	Moved     []Moved
	Transfers []Transfer
	// Waiting has a *ClaimError for each claim of the request that a waiting entry of
	// Moved is for: it would get a new UID in place of the one that it is to take over.
	Waiting error
}

// Kept is the claim of an environment that stays as it is.
type Kept struct {
	Claim
	// Project is the project that stays. It is not the claim's if provider.moved names
	// it as the new one.
	Project Project
}

// Hold returns what keeps projects, and environments of others by their users, as
// they are: a step whose claims are those of req and those of Kept, with Moved and
// Transfers of the result, retires, renames and moves none of these environments, and
// no name of theirs changes its owner. The claims of req are those of all others.
func (s State) Hold(projects []Project, users []string, req Request) Hold {
	if len(projects)+len(users) == 0 {
		return Hold{Moved: req.Moved, Transfers: req.Transfers}
	}
	h := holding{State: s, held: map[Project]bool{}, users: map[string]bool{}, claims: map[string]Claim{}, kept: map[string]Kept{}}
	for _, p := range projects {
		h.held[p] = true
	}
	for _, user := range users {
		h.users[user] = true
	}
	for _, c := range req.Claims {
		h.claims[c.UserName] = c
	}
	for _, user := range s.names() {
		if e := s.Entries[user]; h.stays(e) {
			h.keep(e, e.project())
		}
	}
	var result Hold
	var waiting problem.List
	for _, m := range req.Moved {
		if waits, refused := h.moved(m); waits {
			waiting.Add(refused...)
			continue
		}
		result.Moved = append(result.Moved, m)
	}
	for _, t := range req.Transfers {
		if h.kept[t.From].UserName == "" && h.kept[t.To].UserName == "" {
			result.Transfers = append(result.Transfers, t)
		}
	}
	for _, user := range slices.Sorted(maps.Keys(h.kept)) {
		result.Kept = append(result.Kept, h.kept[user])
	}
	result.Waiting = waiting.Err()
	return result
}

func (e Entry) project() Project { return Project{e.Organisation, e.Project} }

// holding is the work of one call of Hold.
type holding struct {
	State
	held   map[Project]bool
	users  map[string]bool
	claims map[string]Claim
	kept   map[string]Kept
}

func (h *holding) stays(e Entry) bool { return h.held[e.project()] || h.users[e.UserName] }

func (h *holding) keep(e Entry, project Project) {
	if _, claimed := h.claims[e.UserName]; claimed || e.Retired {
		return // the claim of another project is refused, if it has no right to the entry
	}
	h.kept[e.UserName] = Kept{Claim{
		UserName: e.UserName, Organisation: e.Organisation, Project: e.Project, Environment: e.Environment,
		Node: e.Node, VirtualHosts: e.VirtualHosts,
	}, project}
}

// moved reports whether an entry of provider.moved waits for what stays. If it leads
// there, moved keeps the environments that it is to rename; if it comes from there, it
// returns an error for each claim that is to take one over.
func (h *holding) moved(m Moved) (waits bool, refused []error) {
	from, fromErr := parseReference(m.From)
	to, toErr := parseReference(m.To)
	if errors.Join(fromErr, toErr) != nil {
		return false, nil // Next refuses it
	}
	target, leads := h.target(to)
	waits = leads || h.held[Project{from.organisation, from.project}]
	for _, user := range h.names() {
		e := h.Entries[user]
		if !from.matches(user, e.Organisation, e.Project, e.Environment) {
			continue
		}
		waits = waits || h.stays(e)
		if leads && !h.stays(e) {
			h.keep(e, target)
		}
		if _, kept := h.kept[user]; !kept {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(h.claims)) {
			c := h.claims[name]
			_, known := h.Entries[name]
			if !known && to.matches(name, c.Organisation, c.Project, c.Environment) && (!from.isProject() || c.Environment == e.Environment) {
				refused = append(refused, &ClaimError{[]string{name}, waitsFor(name, user, m)})
			}
		}
	}
	return waits, refused
}

// target returns the project that stays and that a reference leads to. The
// user name of an environment that is not in the state yet does not show its project
// but in its first part.
func (h *holding) target(to reference) (Project, bool) {
	if to.user == "" {
		p := Project{to.organisation, to.project}
		return p, h.held[p]
	}
	if e, known := h.Entries[to.user]; known && e.Environment != "" {
		return e.project(), h.held[e.project()]
	}
	if _, claimed := h.claims[to.user]; claimed {
		return Project{}, false
	}
	for _, p := range slices.SortedFunc(maps.Keys(h.held), Project.compare) {
		if strings.HasPrefix(to.user, names.Slug(p.Project)+"-") {
			return p, true
		}
	}
	return Project{}, false
}

func (p Project) compare(other Project) int {
	return cmp.Or(cmp.Compare(p.Organisation, other.Organisation), cmp.Compare(p.Project, other.Project))
}

func waitsFor(user, from string, m Moved) error {
	return problem.New("the environment "+user, fmt.Sprintf("is to take over UID and host names of %s, which stays as it is in this plan", from),
		fmt.Sprintf("wait until its project is planned; or remove %s from provider.moved, and the environment gets a UID of its own", m.nix()))
}
