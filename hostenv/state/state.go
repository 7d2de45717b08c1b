// Package state holds what a provider must remember for years: which UID and
// which host names belong to which environment.
//
// For any input it guarantees:
//
//   - A UID is unique over live and retired environments, never changes and is
//     never used again. A new UID is greater than every UID ever recorded.
//   - A host name has one owner, live or retired. It gets a new owner only within
//     a project, once its owner no longer declares it, or by a [Transfer].
//   - The same prior state and claims give the same next state, in any order of
//     the claims. The same claims change nothing in the result.
//   - Errors are reported together, each with a hint.
//   - Unknown fields of an entry are kept.
//
// The package does no I/O. [Decode] and [State.Encode] are the codec of
// state.json; the package hostenv/state/store locks, reads and writes the file.
//
// The format extends that of the legacy generator, {"<userName>": {"userName",
// "uid", "node", "virtualHosts"}, "_description": "..."}. Programs for the old
// format, which read .uid of every key but _description, can read ours.
package state

import (
	"maps"
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
)

// Description is what [New] writes into the file for those who open it.
const Description = "UIDs and host names of every environment that was ever planned. " +
	"Written by `mage plan` and `mage state:prune`; commit it, and never delete an entry: " +
	"a UID that is used twice gives one customer the files of another."

// A State is the content of state.json. Copy it with [State.Clone]; a plain
// copy shares its maps. The zero State is not valid: begin with [New].
type State struct {
	// Description is for readers of the file. It also shows that an empty state
	// is intended, and is not the result of a failed write or a wrong merge.
	Description string
	// Entries are the environments by user name, live and retired.
	Entries map[string]Entry
	// LastAllocated is the newest allocation. Every allocation changes it, so
	// that two branches that both allocate conflict in git. New UIDs are above
	// it, so that a UID is not used again even if its entry was deleted by hand.
	LastAllocated Allocation
}

// An Entry is the record of one environment.
type Entry struct {
	UserName string
	UID      int // never 0
	// Node is where the newest plan places the environment.
	Node string
	// DeployedNode is the node of the last successful deploy, "" before the
	// first one.
	DeployedNode string
	// VirtualHosts are the host names that it owns, normalised and sorted.
	VirtualHosts []string
	// Organisation, Project and Environment are hostenv's names for it. They are
	// "" in an entry of the legacy generator until a plan includes it.
	Organisation, Project, Environment string
	// FormerNames are the user names that it had before [Moved] renamed it,
	// sorted. They prove to a deploy that a user of the node that has the same
	// UID and a former name belongs to the same environment.
	FormerNames []string
	// Domains are the domains of the organisation that a TXT record proved, with the
	// date (2026-11-29). Those of all entries of the organisation count. See
	// hostenv/domains.
	Domains map[string]string
	// Retired means that the inputs no longer have the environment. Its UID, node
	// and host names stay reserved; if it comes back, it gets them again.
	Retired bool

	// extra holds unknown fields. Copies share it.
	extra canonjson.Object
}

// An Allocation is a UID given to a user.
type Allocation struct {
	UserName string
	UID      int
}

// New returns the state of a provider before the first plan.
func New() State {
	return State{Description: Description, Entries: map[string]Entry{}}
}

// Clone returns a copy. Changes to either do not affect the other.
func (s State) Clone() State {
	entries := make(map[string]Entry, len(s.Entries))
	for name, e := range s.Entries {
		e.VirtualHosts = slices.Clone(e.VirtualHosts)
		e.FormerNames = slices.Clone(e.FormerNames)
		e.Domains = maps.Clone(e.Domains)
		entries[name] = e
	}
	s.Entries = entries
	return s
}

// HighestUID returns the highest UID ever recorded, or 0.
func (s State) HighestUID() int {
	highest := s.LastAllocated.UID
	for _, e := range s.Entries {
		highest = max(highest, e.UID)
	}
	return highest
}

// names returns the user names, sorted.
func (s State) names() []string { return slices.Sorted(maps.Keys(s.Entries)) }

// WithDeployed returns the state after a successful deploy of environments.
// deployed has the node of each user name. Users without an entry are ignored:
// only a plan makes entries.
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

// Has reports whether the environment owns a host name.
func (e Entry) Has(host string) bool {
	_, found := slices.BinarySearch(e.VirtualHosts, host)
	return found
}
