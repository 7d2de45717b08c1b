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
	"sync"

	"github.com/woolwichweb/hostenv-provider/hostenv/names"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// usersProgram is what lists and removes leftovers on a node:
// nix/modules/hostenv-users.sh.
const usersProgram = "hostenv-users"

// A Leftover is what an environment left on a node that does not have it any
// more, by the name that it had there.
type Leftover struct {
	Node    string   `json:"node"`
	User    string   `json:"user"`
	UID     int      `json:"uid"`
	Why     Fate     `json:"why"`
	Now     string   `json:"now,omitempty"` // the name by which that node has the environment now
	Running bool     `json:"running"`       // whether something runs as the user
	Paths   []string `json:"paths"`
}

// Name tells leftovers of one user name on a node apart: environments had it
// one after the other.
func (l Leftover) Name() string { return l.User + "." + strconv.Itoa(l.UID) }

// Fate says what became of an environment that left something.
type Fate string

// The fates.
const (
	FateRetired Fate = "retired" // it is in no plan any more
	FateMoved   Fate = "moved"   // it is on another node
	FateRenamed Fate = "renamed" // it has another name on this node
	FatePlanned Fate = "planned" // it is not gone: a deploy brings it back to this node, or has yet to take it away
	FateUnknown Fate = "unknown" // the state does not know its UID
)

// fate says what became of the environment that a node calls left over.
func (l Leftover) fate(d plan.Document, s state.State) Fate {
	for _, e := range d.Environments {
		if e.UID != l.UID {
			continue
		}
		switch {
		case e.PreviousNode == l.Node:
			return FatePlanned // what it left may be all that there is
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

// readLeftovers reads what a node prints. What it says is shown, and becomes
// part of a command: it is held to what it can be.
func readLeftovers(node string, data []byte) ([]Leftover, error) {
	var document struct {
		Leftovers []Leftover `json:"leftovers"`
	}
	if err := json.Unmarshal(data, &document); err != nil {
		return nil, err
	}
	for i, l := range document.Leftovers {
		if !isUserName(l.User) || l.UID <= 0 || l.Now != "" && !isUserName(l.Now) {
			return nil, fmt.Errorf("it names %q with the UID %d, which can be no environment's", l.User, l.UID)
		}
		for _, path := range l.Paths {
			if _, err := names.ParsePlainPath(path); err != nil {
				return nil, fmt.Errorf("it names %q, which is no plain path", path)
			}
		}
		document.Leftovers[i].Node = node
	}
	return document.Leftovers, nil
}

// leftovers asks a node.
func leftovers(ctx context.Context, n Node, s Session) ([]Leftover, error) {
	out, err := s.Run(ctx, "root", nil, usersProgram, "list")
	if err != nil {
		return nil, err
	}
	all, err := readLeftovers(n.Name, out)
	if err != nil {
		return nil, fmt.Errorf("node %s: read what is left over there: %w", n.Name, err)
	}
	return all, nil
}

// Leftovers collects what is left over on nodes. Its Ask is for [Survey], and may
// be called by several at once.
type Leftovers struct {
	Plan  plan.Document
	State state.State

	mu   sync.Mutex
	all  []Leftover
	deaf []string // nodes that cannot tell
}

// Ask asks a node. One that cannot tell is no error, see [Leftovers.Deaf].
func (a *Leftovers) Ask(ctx context.Context, n Node, s Session) error {
	if !s.Observation().ListsLeftovers {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.deaf = append(a.deaf, n.Name)
		return nil
	}
	found, err := leftovers(ctx, n, s)
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, l := range found {
		l.Why = l.fate(a.Plan, a.State)
		a.all = append(a.all, l)
	}
	return err
}

// All returns what was found, by node, user and UID.
func (a *Leftovers) All() []Leftover {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.SortedFunc(slices.Values(a.all), func(x, y Leftover) int {
		return cmp.Or(cmp.Compare(x.Node, y.Node), cmp.Compare(x.User, y.User), cmp.Compare(x.UID, y.UID))
	})
}

// Deaf is an error for each node that cannot tell, nil if all could.
func (a *Leftovers) Deaf() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var deaf problem.List
	for _, node := range slices.Sorted(slices.Values(a.deaf)) {
		deaf.Addf("node "+node, "deploy the system: `mage deploy -env=system`", "cannot tell what is left over: its system has no "+usersProgram)
	}
	return deaf.Err()
}

// PickLeftovers returns those that are named, by user or by [Leftover.Name], each
// of which must be one and removable. All that is wrong is in the error.
func PickLeftovers(all []Leftover, names []string) ([]Leftover, error) {
	var picked []Leftover
	var wrong problem.List
	for _, name := range names {
		var met []Leftover
		for _, l := range all {
			if name == l.User || name == l.Name() {
				met = append(met, l)
			}
		}
		switch {
		case len(met) == 0:
			wrong.Addf("remove "+name+":", "`mage leftovers` lists what is left over", "nothing is left over of it")
		case len(met) > 1:
			var which []string
			for _, l := range met {
				which = append(which, l.Name()+" on "+l.Node)
			}
			wrong.Addf("remove "+name+":", "name one, and its node by -node=", "there is %s", strings.Join(which, ", "))
		case met[0].Why == FatePlanned:
			wrong.Addf("remove "+name+":", "deploy first: `mage deploy`", "the plan has this environment, and what is on %s is in use, or will be", met[0].Node)
		case !slices.ContainsFunc(picked, func(l Leftover) bool { return l.Node == met[0].Node && l.Name() == met[0].Name() }):
			picked = append(picked, met[0])
		}
	}
	return picked, wrong.Err()
}

// RemoveLeftover removes what an environment left on a node, under the node's
// deploy lock. The node refuses where the environment is there by now.
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
