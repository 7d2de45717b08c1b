package state

import (
	"fmt"
	"maps"
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// A Claim is what the inputs say of one environment: that it exists, where it
// is placed and which host names it declares. Its fields are checked and its
// names normalised by the caller.
type Claim struct {
	UserName                           string
	Organisation, Project, Environment string
	Node                               string
	VirtualHosts                       []string
}

// A UIDRange is where new UIDs are taken from, both ends included. UIDs that
// are recorded already may lie outside of it.
type UIDRange struct{ Min, Max int }

// DefaultUIDRange is the legacy generator's: the first UID of an empty state is 1002, and
// 30001 is the first of Nix's build users.
var DefaultUIDRange = UIDRange{Min: 1002, Max: 29999}

// Check refuses a range that is empty or holds UIDs that are not for users.
func (r UIDRange) Check() error {
	switch {
	case r.Min < minUID:
		return fmt.Errorf("begins at %d, and UIDs below %d belong to the system", r.Min, minUID)
	case r.Max > maxUID:
		return fmt.Errorf("ends at %d, and %d is the highest UID there is", r.Max, maxUID)
	case r.Max < r.Min:
		return fmt.Errorf("ends at %d, before its begin %d", r.Max, r.Min)
	case r.Min <= 65535 && r.Max >= 65534:
		return fmt.Errorf("runs from %d to %d, over 65534 and 65535, which mean nobody", r.Min, r.Max)
	}
	return nil
}

// A Request is all that a step needs beside the prior state.
type Request struct {
	Claims    []Claim
	Moved     []Moved
	Transfers []Transfer
	UIDs      UIDRange
	// NodeNames are the host names of nodes, which no environment may claim,
	// each with its node.
	NodeNames map[string]string
}

// A Step is what a request makes of a state.
type Step struct {
	State    State
	Changes  []Change // in the order of [CompareChanges]
	Warnings []Warning
}

// A Warning is something that deserves a look and stops nothing.
type Warning struct {
	Subject string // what it is about: a user name, an option, an input
	Message string
	Reason  string // for programs, "" where there is none
	Hint    string // what to do, "" where Message says it
}

// Next computes the state after the environments of req were planned. It
// changes nothing of s; what stays as it was, both share, so that a program
// which changes entries by hand does so on a [State.Clone]. Its error holds every refusal of the step, see [problem.Leaves];
// the step is then empty.
func (s State) Next(req Request) (Step, error) {
	problems, owners := s.problems(nil, nil)
	if err := problems.Err(); err != nil {
		return Step{}, err
	}
	st := step{
		State:   s,
		owners:  owners,
		req:     req,
		claims:  make(map[string]Claim, len(req.Claims)),
		leaving: map[string]bool{},
	}
	st.Entries = maps.Clone(s.Entries) // what is in an entry is replaced, never changed
	st.Description = Description
	if err := req.UIDs.Check(); err != nil {
		st.errs.Add(optionError("provider.uidRange", fmt.Sprintf("{ min = %d; max = %d; }", req.UIDs.Min, req.UIDs.Max), err.Error(),
			fmt.Sprintf("choose a range clear of those of NixOS, nixbld and systemd, such as %d to %d", DefaultUIDRange.Min, DefaultUIDRange.Max)))
	}
	for _, c := range req.Claims {
		if other, ok := st.claims[c.UserName]; ok {
			st.errs.Add(otherUser(c.UserName, other.identity(), c.identity()))
		}
		st.claims[c.UserName] = c
	}
	st.users = slices.Sorted(maps.Keys(st.claims))

	st.identify()
	st.rename()
	st.retireAndRevive()
	st.allocate()
	st.hostnames()
	if err := st.errs.Err(); err != nil {
		return Step{}, err
	}
	slices.SortFunc(st.changes, CompareChanges)
	return Step{State: st.State, Changes: st.changes, Warnings: st.warnings}, nil
}

// step is a Next at work. Each of its methods does one thing, in the order in
// which Next calls them, and collects what it refuses.
type step struct {
	State
	req      Request
	claims   map[string]Claim
	users    []string          // of claims, sorted
	owners   map[string]string // of all host names, as the step goes on
	leaving  map[string]bool   // users that this step retires
	changes  []Change
	warnings []Warning
	errs     problem.List
}

func (c Claim) identity() string { return c.Organisation + "/" + c.Project + "/" + c.Environment }

func (st *step) changed(kind Kind, key string, action Action, reason Reason, before, after map[string]any) {
	st.changes = append(st.changes, Change{Kind: kind, Key: key, Action: action, Reason: reason, Before: before, After: after})
}

// retireAndRevive brings the entries that exist to what the claims say.
func (st *step) retireAndRevive() {
	for _, name := range st.names() {
		e := st.Entries[name]
		c, claimed := st.claims[name]
		if !claimed {
			if !e.Retired {
				e.Retired = true
				st.leaving[name] = true
				st.changed(KindEnvironment, name, Retire, ReasonLeft, map[string]any{"uid": e.UID, "node": e.Node}, nil)
			}
			st.Entries[name] = e
			continue
		}
		switch {
		case e.Environment == "":
			e.adopt()
			st.changed(KindEnvironment, name, Update, ReasonAdopted, nil,
				map[string]any{"organisation": c.Organisation, "project": c.Project, "environment": c.Environment})
		case e.identity() != c.identity():
			st.errs.Add(otherUser(name, e.identity(), c.identity()))
		}
		e.Organisation, e.Project, e.Environment = c.Organisation, c.Project, c.Environment
		if e.Retired {
			e.Retired = false
			st.changed(KindEnvironment, name, Revive, ReasonBack, nil, map[string]any{"uid": e.UID, "node": c.Node})
		}
		if e.Node != c.Node {
			st.changed(KindEnvironment, name, Move, ReasonPlacement, map[string]any{"node": e.Node}, map[string]any{"node": c.Node})
			e.Node = c.Node
		}
		st.Entries[name] = e
	}
}

// adopt makes an entry of the legacy generator one of ours. That one wrote down
// where it placed an environment when it deployed it, so that its node is the
// one to move the environment's data from.
func (e *Entry) adopt() {
	if e.Environment == "" && e.DeployedNode == "" {
		e.DeployedNode = e.Node
	}
}

func (e Entry) identity() string { return e.Organisation + "/" + e.Project + "/" + e.Environment }

// allocate gives the new environments their UIDs: dense, in the order of
// their user names, above all that were ever recorded.
func (st *step) allocate() {
	var fresh []string
	for _, name := range st.users {
		if _, ok := st.Entries[name]; !ok {
			fresh = append(fresh, name)
		}
	}
	if len(fresh) == 0 {
		return
	}
	next := max(st.req.UIDs.Min, st.HighestUID()+1)
	if next+len(fresh)-1 > st.req.UIDs.Max {
		st.errs.Add(noUIDs(st.req.UIDs, next, len(fresh)))
	}
	for i, name := range fresh {
		c := st.claims[name]
		st.Entries[name] = Entry{
			UserName: name, UID: next + i, Node: c.Node,
			Organisation: c.Organisation, Project: c.Project, Environment: c.Environment,
		}
		st.LastAllocated = Allocation{UserName: name, UID: next + i}
		st.changed(KindEnvironment, name, Create, ReasonNew, nil, map[string]any{"uid": next + i, "node": c.Node})
	}
}
