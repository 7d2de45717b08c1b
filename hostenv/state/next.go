package state

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/names"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// A Claim is an environment of the inputs: its names, its node and the host names
// that it declares. The caller has checked the fields and normalised the names.
type Claim struct {
	UserName                           string
	Organisation, Project, Environment string
	Node                               string
	VirtualHosts                       []string
}

// A UIDRange holds the UIDs that new environments may get, both ends included.
// Recorded UIDs may lie outside of it.
type UIDRange struct{ Min, Max int }

// DefaultUIDRange begins at 1002, as the legacy generator does, and ends before
// the UIDs of Nix's build users, which begin at 30001.
var DefaultUIDRange = UIDRange{Min: 1002, Max: 29999}

// Check refuses a range that is empty or holds UIDs of the system.
func (r UIDRange) Check() error {
	switch {
	case r.Min < minUID:
		return fmt.Errorf("begins at %d, and UIDs below %d belong to the system", r.Min, minUID)
	case r.Max > maxUID:
		return fmt.Errorf("ends at %d, and the highest UID is %d", r.Max, maxUID)
	case r.Max < r.Min:
		return fmt.Errorf("ends at %d, below its start %d", r.Max, r.Min)
	case r.Min <= 65535 && r.Max >= 65534:
		return errors.New("includes 65534 or 65535, which the system reserves")
	}
	return nil
}

// A Request is the input of a step, besides the prior state.
type Request struct {
	Claims    []Claim
	Moved     []Moved
	Transfers []Transfer
	UIDs      UIDRange
	// NodeNames has the node of each host name that belongs to one. No
	// environment may claim these names.
	NodeNames map[string]string
}

// A Step is the result of a request.
type Step struct {
	State    State
	Changes  []Change // in the order of [CompareChanges]
	Warnings []Warning
}

// A Warning does not stop the plan.
type Warning struct {
	Subject string `json:"subject"` // a user name, an option, an input
	Message string `json:"message"`
	Reason  string `json:"reason,omitzero"` // for programs
	Hint    string `json:"hint,omitzero"`   // what to do, unless Message says it
}

// Next computes the state after a plan of the environments of req. It does not
// change s, but the new state shares unchanged lists with it: to change entries
// in place, use a [State.Clone]. If Next refuses the request, the step is empty and
// the error holds every refusal, see [problem.Leaves]; those of claims are a
// [ClaimError] each.
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
	st.Entries = map[string]Entry{} // the lists in an entry are replaced, never changed
	maps.Copy(st.Entries, s.Entries)
	st.Description = Description
	for _, e := range s.Entries {
		st.identified = st.identified || e.Environment != ""
	}
	if err := req.UIDs.Check(); err != nil {
		st.errs.Add(optionError("provider.uidRange", fmt.Sprintf("{ min = %d; max = %d; }", req.UIDs.Min, req.UIDs.Max), err.Error(),
			fmt.Sprintf("choose a range clear of those of NixOS, nixbld and systemd, such as %d to %d", DefaultUIDRange.Min, DefaultUIDRange.Max)))
	}
	for _, c := range req.Claims {
		if other, ok := st.claims[c.UserName]; ok {
			st.refuse([]string{c.UserName}, otherUser(c.UserName, other.identity(), c.identity()))
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
	return Step{State: st.State, Changes: Compare(s, st.State), Warnings: st.warnings}, nil
}

// A step is the work of one call of Next, which calls the methods in a fixed
// order. Each collects its refusals in errs.
type step struct {
	State
	req     Request
	claims  map[string]Claim  // by user name
	users   []string          // the keys of claims, sorted
	owners  map[string]string // the owner of each host name so far
	leaving map[string]bool   // users that this step retires

	identified bool // an entry of the prior state names its environment

	warnings []Warning
	errs     problem.List
}

func (c Claim) identity() string { return c.Organisation + "/" + c.Project + "/" + c.Environment }

// retireAndRevive updates the existing entries from the claims.
func (st *step) retireAndRevive() {
	for _, name := range st.names() {
		e := st.Entries[name]
		c, claimed := st.claims[name]
		if !claimed {
			if !e.Retired {
				e.Retired = true
				st.leaving[name] = true
			}
			st.Entries[name] = e
			continue
		}
		switch {
		case e.Environment == "" && !st.mayAdopt(c):
			st.refuse([]string{name}, unproven(c))
		case e.Environment == "":
			e.adopt()
		case e.identity() != c.identity():
			st.refuse([]string{name}, otherUser(name, e.identity(), c.identity()))
		}
		e.Organisation, e.Project, e.Environment = c.Organisation, c.Project, c.Environment
		e.Retired, e.Node = false, c.Node
		st.Entries[name] = e
	}
}

// mayAdopt reports whether an entry of the legacy generator belongs to c. Such an
// entry has the user name alone, whose hash has 28 bits: a customer finds in
// seconds a name for a branch that gives the user name of another customer, whose
// environment has left the inputs. So c owns the entry if
//
//   - the user name has the whole name of the environment, which leaves no choice;
//   - the provider says so in provider.moved;
//   - or this is the first plan after the legacy generator, which did the same.
func (st *step) mayAdopt(c Claim) bool {
	return names.Slug(c.Environment) == c.Environment || !st.identified ||
		slices.ContainsFunc(st.req.Moved, func(m Moved) bool {
			to, err := parseReference(m.To)
			return m.From == c.UserName && err == nil && to.environment == c.Environment && to.matches(c.UserName, c.Organisation, c.Project, c.Environment)
		})
}

// adopt completes an entry of the legacy generator, which recorded the node of an
// environment when it deployed it. The environment's data is on that node.
func (e *Entry) adopt() {
	if e.Environment == "" && e.DeployedNode == "" {
		e.DeployedNode = e.Node
	}
}

func (e Entry) identity() string { return e.Organisation + "/" + e.Project + "/" + e.Environment }

// allocate gives the new environments their UIDs: without gaps, in the order of
// the user names, above every UID ever recorded.
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
		st.refuse(fresh, noUIDs(st.req.UIDs, next, len(fresh)))
	}
	for i, name := range fresh {
		c := st.claims[name]
		st.Entries[name] = Entry{
			UserName: name, UID: next + i, Node: c.Node,
			Organisation: c.Organisation, Project: c.Project, Environment: c.Environment,
		}
		st.LastAllocated = Allocation{UserName: name, UID: next + i}
	}
}
