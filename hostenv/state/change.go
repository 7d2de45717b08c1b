package state

import "cmp"

// A Change is one change that a plan makes. Text, JSON and golden files render
// the same values. Later versions may add kinds, actions and reasons, so readers
// must accept unknown ones.
type Change struct {
	Kind   Kind
	Key    string // a user name, a host name or a node, by Kind
	Action Action
	Reason Reason
	// Before and After hold the fields that differ. Before is nil for a new key,
	// After for a removed one.
	Before, After Fields
}

// Fields are values by name: string, int, bool or []string.
type Fields = map[string]any

// A Kind is the type of thing that a change affects.
type Kind string

// Kinds of changes.
const (
	KindEnvironment Kind = "environment"
	KindHostname    Kind = "hostname"
	KindNode        Kind = "node"
)

// An Action is what a change does.
type Action string

// Actions of changes.
const (
	Create   Action = "create"   // an environment gets a UID, a host name its first owner, a node its first environment
	Update   Action = "update"   // a recorded value changes
	Move     Action = "move"     // an environment changes node or name, a host name its owner within a project
	HandOver Action = "transfer" // a host name goes to another project or organisation
	Retire   Action = "retire"   // an environment left the inputs; UID and host names stay reserved
	Revive   Action = "revive"   // a retired environment is back
	Release  Action = "release"  // a host name is free again
)

// A Reason is why a change is made.
type Reason string

// Reasons of changes.
const (
	ReasonNew        Reason = "new"            // the prior state does not have it
	ReasonAdopted    Reason = "adopted"        // first plan with an entry of the legacy generator
	ReasonLeft       Reason = "left-inputs"    // no input declares it any more
	ReasonBack       Reason = "back-in-inputs" // an input declares it again
	ReasonPlacement  Reason = "placement"      // the provider's options name another node
	ReasonRenamed    Reason = "renamed"        // an entry of provider.moved
	ReasonDeclared   Reason = "declared"       // its environment declares it
	ReasonUndeclared Reason = "undeclared"     // its environment no longer declares it
	ReasonTransfer   Reason = "transfer"       // an entry of provider.transfers
	ReasonPruned     Reason = "pruned"         // state:prune
	ReasonUnused     Reason = "unused"         // no environment is placed on it any more
)

// CompareChanges orders changes: environments, then host names, then nodes,
// each by key. The reason comes last, because one plan can move an environment
// twice: to another name and to another node.
func CompareChanges(a, b Change) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Action, b.Action), cmp.Compare(a.Reason, b.Reason))
}

// Value returns the change as a JSON value.
func (c Change) Value() map[string]any {
	v := map[string]any{
		"kind": string(c.Kind), "key": c.Key, "action": string(c.Action), "reason": string(c.Reason),
		"before": nil, "after": nil,
	}
	if c.Before != nil {
		v["before"] = c.Before
	}
	if c.After != nil {
		v["after"] = c.After
	}
	return v
}
