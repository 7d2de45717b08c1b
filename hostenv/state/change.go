package state

import "cmp"

// A Change is one thing that a plan does, as data; text, JSON and golden files
// render the same values. Kinds, actions and reasons are open: a reader must
// expect some that it does not know.
type Change struct {
	Kind   Kind
	Key    string // a user name, a host name or a node, by Kind
	Action Action
	Reason Reason
	// Before and After are what the key had and has: string, int, bool or
	// []string by field; nil where there was or will be nothing.
	Before, After map[string]any
}

// Kind says what a change is about.
type Kind string

// The kinds of changes.
const (
	KindEnvironment Kind = "environment"
	KindHostname    Kind = "hostname"
	KindNode        Kind = "node"
)

// Action says what happens to it.
type Action string

// The actions.
const (
	Create   Action = "create"   // an environment gets a UID, a host name its first owner, a node its first environment
	Update   Action = "update"   // something about it is recorded anew
	Move     Action = "move"     // an environment changes node or name, a host name its owner within a project
	HandOver Action = "transfer" // a host name goes to another project or organisation
	Retire   Action = "retire"   // an environment left the inputs; UID and host names stay reserved
	Revive   Action = "revive"   // a retired environment is back
	Release  Action = "release"  // a host name is free again
)

// Reason says why.
type Reason string

// The reasons.
const (
	ReasonNew        Reason = "new"            // it is not in the prior state
	ReasonAdopted    Reason = "adopted"        // an entry of the legacy generator, seen for the first time
	ReasonLeft       Reason = "left-inputs"    // no input declares it any more
	ReasonBack       Reason = "back-in-inputs" // an input declares it again
	ReasonPlacement  Reason = "placement"      // the provider's options name another node
	ReasonRenamed    Reason = "renamed"        // an entry of provider.moved
	ReasonDeclared   Reason = "declared"       // its environment declares it
	ReasonUndeclared Reason = "undeclared"     // its environment no longer declares it
	ReasonTransfer   Reason = "transfer"       // an entry of provider.transfers
	ReasonPruned     Reason = "pruned"         // state:prune
	ReasonUnused     Reason = "unused"         // nothing is placed on it any more
)

// CompareChanges orders changes: environments, then host names, then nodes,
// each by key. An environment can move twice in one plan, to another name and
// to another node, so that the reason decides in the end.
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
