package deploy

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/names"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// usersProgram lists and removes leftovers on a node. Its source is
// nix/modules/hostenv-users.sh.
const usersProgram = "hostenv-users"

// A Leftover is what an environment left behind on a node that no longer has it,
// under the name that it had there.
type Leftover struct {
	Node    string   `json:"node"`
	User    string   `json:"user"`
	UID     int      `json:"uid"`
	Why     Fate     `json:"why"`
	Now     string   `json:"now,omitempty"` // the name by which that node has the environment now
	Running bool     `json:"running"`       // whether processes run as the user
	Paths   []string `json:"paths"`
}

// Name is unique on a node, which User is not: several environments may have had
// one user name, one after the other.
func (l Leftover) Name() string { return l.User + "." + strconv.Itoa(l.UID) }

// Fate is what became of an environment that has leftovers.
type Fate string

// The fates.
const (
	FateRetired Fate = "retired" // it is no longer in the plan
	FateMoved   Fate = "moved"   // it is on another node
	FateRenamed Fate = "renamed" // it has another name on this node
	FatePlanned Fate = "planned" // the plan has it on this node, or no deploy has moved it away yet
	FateUnknown Fate = "unknown" // the state does not know its UID
)

// fate finds out what became of the environment that the leftover is from.
func (l Leftover) fate(d plan.Document, s state.State) Fate {
	for _, e := range d.Environments {
		if e.UID != l.UID {
			continue
		}
		switch {
		case e.PreviousNode == l.Node:
			return FatePlanned // the leftover may be the only copy of its data
		case e.Node != l.Node:
			return FateMoved
		case l.Now != "":
			return FateRenamed
		}
		return FatePlanned
	}
	for _, entry := range s.Entries {
		if entry.UID == l.UID {
			return FateRetired
		}
	}
	return FateUnknown
}

// readLeftovers reads the list that a node prints. It refuses names and paths that
// are not plain, because they become part of a command.
func readLeftovers(node string, data []byte) ([]Leftover, error) {
	var document struct {
		Leftovers []Leftover `json:"leftovers"`
	}
	if err := json.Unmarshal(data, &document); err != nil {
		return nil, err
	}
	for i, l := range document.Leftovers {
		if !isUserName(l.User) || l.UID <= 0 || l.Now != "" && !isUserName(l.Now) {
			return nil, fmt.Errorf("it lists %q with UID %d, which is not an environment", l.User, l.UID)
		}
		for _, path := range l.Paths {
			if _, err := names.ParsePlainPath(path); err != nil {
				return nil, fmt.Errorf("it lists the path %q, which is not plain", path)
			}
		}
		document.Leftovers[i].Node = node
	}
	return document.Leftovers, nil
}

// Leftovers collects the leftovers of nodes. Its method Ask is for [Survey], and
// is safe for concurrent use.
type Leftovers struct {
	Plan  plan.Document
	State state.State

	found    collected[Leftover]
	outdated collected[string] // nodes that cannot list their leftovers
}

// Ask adds the leftovers of a node. A node that cannot list them is not an error
// here, see [Leftovers.Outdated].
func (a *Leftovers) Ask(ctx context.Context, n Node, s Session) error {
	if !s.Observation().ListsLeftovers {
		a.outdated.add(n.Name)
		return nil
	}
	out, err := s.Run(ctx, "root", nil, usersProgram, "list")
	if err != nil {
		return err
	}
	all, err := readLeftovers(n.Name, out)
	if err != nil {
		return fmt.Errorf("node %s: read its leftovers: %w", n.Name, err)
	}
	for i := range all {
		all[i].Why = all[i].fate(a.Plan, a.State)
	}
	a.found.add(all...)
	return nil
}

// All returns the leftovers that Ask found, sorted by node, user and UID.
func (a *Leftovers) All() []Leftover {
	return a.found.sorted(func(x, y Leftover) int {
		return cmp.Or(cmp.Compare(x.Node, y.Node), cmp.Compare(x.User, y.User), cmp.Compare(x.UID, y.UID))
	})
}

// Outdated returns an error for each node whose system is too old to list its
// leftovers, nil if there is none.
func (a *Leftovers) Outdated() error {
	var errs problem.List
	for _, node := range a.outdated.sorted(strings.Compare) {
		errs.Addf("node "+node, "deploy the system: `mage deploy -env=system`", "cannot list its leftovers: its system has no "+usersProgram)
	}
	return errs.Err()
}

// PickLeftovers returns the leftovers with the given names: a user, or a
// [Leftover.Name]. Each name must match one leftover, which may be removed. The
// error holds every name that does not.
func PickLeftovers(all []Leftover, names []string) ([]Leftover, error) {
	var picked []Leftover
	var wrong problem.List
	for _, name := range names {
		var matches []Leftover
		for _, l := range all {
			if name == l.User || name == l.Name() {
				matches = append(matches, l)
			}
		}
		switch {
		case len(matches) == 0:
			wrong.Addf("remove "+name+":", "run `mage leftovers` to list them", "there are no leftovers of this name")
		case len(matches) > 1:
			var which []string
			for _, l := range matches {
				which = append(which, l.Name()+" on "+l.Node)
			}
			wrong.Addf("remove "+name+":", "name one of them, and its node with -node=", "several leftovers match: %s", strings.Join(which, ", "))
		case matches[0].Why == FatePlanned:
			wrong.Addf("remove "+name+":", "deploy first: `mage deploy`", "the plan has this environment: its files on %s are in use, or will be", matches[0].Node)
		case !slices.ContainsFunc(picked, func(l Leftover) bool { return l.Node == matches[0].Node && l.Name() == matches[0].Name() }):
			picked = append(picked, matches[0])
		}
	}
	return picked, wrong.Err()
}

// RemoveLeftover removes what an environment left on a node. It holds the node's
// deploy lock. The node refuses if it has the environment again.
func RemoveLeftover(ctx context.Context, remote Remote, n Node, how OpenOptions, l Leftover) (err error) {
	how.Lock = true
	session, err := remote.Open(ctx, n, how)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	_, err = session.Run(ctx, "root", nil, usersProgram, "remove", l.User, strconv.Itoa(l.UID))
	return err
}
