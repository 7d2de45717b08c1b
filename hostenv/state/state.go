// Package state holds what a provider must remember for years: which UID and
// which host names belong to which environment.
//
// It promises, whatever the input:
//
//   - A UID is unique over live and retired environments, never changes, is
//     never used again, and a new one is greater than every UID ever recorded.
//   - A host name has one owner, live or retired. It changes hands only within
//     a project, once its owner no longer declares it, or by a [Transfer].
//   - The same prior state and claims give the same next state, whatever their
//     order; computing again from the result changes nothing.
//   - Everything that is wrong is reported at once, each with a hint.
//   - What the package does not know in an entry is kept.
//
// It is pure: values in, values out. [Decode] and [State.Encode] are the codec
// of state.json; the file itself, its lock and its durability are the matter
// of the package hostenv/state/store below this one.
//
// The format is that of the legacy generator, {"<userName>": {"userName", "uid",
// "node", "virtualHosts"}, "_description": "..."}, and its readers, which fold
// over every key but _description and read .uid, can read ours.
package state

import (
	"maps"
	"slices"
)

// Description is what [New] writes into the file for those who open it.
const Description = "UIDs and host names of every environment that was ever planned. " +
	"Written by `mage plan` and `mage state:prune`; commit it, and never delete an entry: " +
	"a UID that is used twice gives one customer the files of another."

// A State is the content of state.json. Copy it with [State.Clone]; a plain
// copy shares its maps. The zero State is no state: begin with [New].
type State struct {
	// Description is for people. It also shows that an empty state was meant
	// to be empty, and is not what a failed write or a wrong merge left.
	Description string
	// Entries are the environments by user name, live and retired.
	Entries map[string]Entry
	// LastAllocated is the newest allocation. Every allocation changes it, so
	// that two branches that both allocate conflict in git; a UID below it is
	// never allocated again, even where somebody deleted an entry by hand.
	LastAllocated Allocation
}

// An Entry is what is remembered of one environment.
type Entry struct {
	UserName string
	UID      int // never 0
	// Node is where the newest plan places the environment.
	Node string
	// DeployedNode is where the last successful deploy brought it; "" if none
	// did yet.
	DeployedNode string
	// VirtualHosts are the host names that it owns, normalised and sorted.
	VirtualHosts []string
	// Organisation, Project and Environment are hostenv's names for it, ""
	// in an entry of the legacy generator that no plan has seen since.
	Organisation, Project, Environment string
	// FormerNames are the user names that it had before [Moved] gave it this one,
	// sorted. On a node they are what proves that a user of another name with its
	// UID is the same environment.
	FormerNames []string
	// Retired says that the environment left the inputs. UID, node and host
	// names stay reserved; if it comes back, it gets them again.
	Retired bool

	// extra holds the fields that this package does not know.
	extra map[string]any
}

// An Allocation is a UID given to a user.
type Allocation struct {
	UserName string
	UID      int
}

// New returns the state of a provider that never planned anything.
func New() State {
	return State{Description: Description, Entries: map[string]Entry{}}
}

// Clone returns a copy that shares nothing that either side may change.
func (s State) Clone() State {
	entries := make(map[string]Entry, len(s.Entries))
	for name, e := range s.Entries {
		e.VirtualHosts = slices.Clone(e.VirtualHosts)
		e.FormerNames = slices.Clone(e.FormerNames)
		e.extra = maps.Clone(e.extra)
		entries[name] = e
	}
	s.Entries = entries
	return s
}

// HighestUID returns the highest UID that was ever recorded, 0 if none was.
func (s State) HighestUID() int {
	highest := s.LastAllocated.UID
	for _, e := range s.Entries {
		highest = max(highest, e.UID)
	}
	return highest
}

// names returns the user names in order.
func (s State) names() []string { return slices.Sorted(maps.Keys(s.Entries)) }

// WithDeployed returns the state after a deploy has brought each user of
// deployed to the node it names. Users without an entry are passed over: an
// entry is made by a plan alone.
func (s State) WithDeployed(deployed map[string]string) State {
	s = s.Clone()
	for user, node := range deployed {
		if e, ok := s.Entries[user]; ok {
			e.DeployedNode = node
			s.Entries[user] = e
		}
	}
	return s
}
