// Package review says what a plan changes, for those who decide on it.
//
// [Of] compares two versions of plan and state, and returns typed changes with a
// reason each: of environments, host names, nodes, sources, options of
// environments, limits, and options of the provider. [Review.Text],
// [Review.Markdown] and [Review.Encode] write them. It is pure; package
// hostenv/review/history finds the commits between two revisions.
//
// Subjects of commits, names and options are the customers' own texts. Text and
// Markdown show them through package problem alone; Encode's document passes
// through it when it is printed.
package review

import (
	"maps"
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// A Version is a plan with its state.
type Version struct {
	// Plan is nil if there is none, or one that cannot be read: then sources and
	// options are not compared.
	Plan  *plan.Document
	State state.State
}

// Kinds of changes beside those of package state.
const (
	KindSource   state.Kind = "source"   // the key is a user name
	KindOption   state.Kind = "option"   // the key is a user name
	KindLimits   state.Kind = "limits"   // the key is a slice: of a project on a node
	KindProvider state.Kind = "provider" // the key is an option, or a node and an option
)

// Reasons of changes beside those of package state.
const (
	ReasonCommits       state.Reason = "new-commits"   // the same ref leads to another commit
	ReasonRef           state.Reason = "other-ref"     // the environment names another ref
	ReasonRepository    state.Reason = "other-source"  // the input is another repository or folder
	ReasonContent       state.Reason = "new-content"   // a source without commits has another hash
	ReasonLocked        state.Reason = "locked"        // it was not locked before
	ReasonUnlocked      state.Reason = "unlocked"      // it is not locked any more
	ReasonConfiguration state.Reason = "configuration" // the commit is the same: configuration only
	ReasonSource        state.Reason = "source"        // the source changes as well
	ReasonGate          state.Reason = "gate"          // the DNS gate decided otherwise
	ReasonProvider      state.Reason = "provider"      // the provider's options, or another version of this program
)

// A Change is one change, with the environment or project that it belongs to.
type Change struct {
	state.Change
	// Organisation and Project are "" for a change of a node or of the provider, and
	// for an entry of the legacy generator. Environment is "" for limits.
	Organisation, Project, Environment string
	// User is the environment's user name in the later version, "" for none.
	User string
	// Commits are those of a source, if a repository here has them.
	Commits *Commits
}

// A Review holds the changes from one version to another.
type Review struct {
	Changes []Change // in the order of state.CompareChanges
	// Digest is plan.Digest of the later plan.json; "" if none is written.
	Digest string
	// Held are the projects that the later plan holds back. From the plan alone, their
	// reasons have no hint.
	Held []plan.Held
	// Holds are the projects that provider.hold keeps as they are.
	Holds []plan.Hold
	first bool // there was no plan before
	after Version
}

// Of compares two versions. Commits are those that are known, see [Pairs].
func Of(before, after Version, commits map[Pair]Commits) *Review {
	c := &comparison{before: before, after: after, commits: commits, touched: map[string]bool{}, former: map[string]string{}}
	c.states()
	if before.Plan != nil && after.Plan != nil {
		c.environments()
		c.nodes()
		c.provider()
	}
	slices.SortStableFunc(c.changes, func(a, b Change) int { return state.CompareChanges(a.Change, b.Change) })
	r := &Review{Changes: c.changes, first: before.Plan == nil && len(before.State.Entries) == 0, after: after}
	if after.Plan != nil {
		r.Held, r.Holds = after.Plan.Held(), after.Plan.Holds()
	}
	return r
}

// Empty reports whether nothing changes.
func (r *Review) Empty() bool { return len(r.Changes) == 0 }

// Encode returns the changes, and warnings beside them, as a JSON document:
// {"formatVersion", "digest", "changes": [{kind, key, action, reason, before, after,
// organisation, project, environment}], "heldBack": [{project, reasons: [{message,
// hint}], keeps}], "onHold": [{project, reason, keeps}], "warnings": [{subject, message,
// reason, hint}]}, where a change may lack the last three, a warning the last two, and a
// reason the hint. Without projects that are held back there is no heldBack, and without
// provider.hold no onHold.
// Kinds, actions and reasons may be added.
func (r *Review) Encode(warnings []state.Warning) []byte {
	list := make([]any, len(r.Changes))
	for i, c := range r.Changes {
		v := c.Value()
		for name, text := range map[string]string{"organisation": c.Organisation, "project": c.Project, "environment": c.Environment} {
			if text != "" {
				v[name] = text
			}
		}
		if c.Commits != nil {
			v["commits"] = c.Commits.value()
		}
		list[i] = v
	}
	document := map[string]any{"formatVersion": plan.FormatVersion, "changes": list, "warnings": warnings}
	if len(r.Held) > 0 {
		document["heldBack"] = heldValues(r.Held)
	}
	if len(r.Holds) > 0 {
		document["onHold"] = r.Holds
	}
	if r.Digest != "" {
		document["digest"] = r.Digest
	}
	return canonjson.Encode(document)
}

// comparison is one call of Of.
type comparison struct {
	before, after Version
	commits       map[Pair]Commits
	changes       []Change
	touched       map[string]bool   // users with a change
	former        map[string]string // the earlier user name of each renamed environment
}

func (c *comparison) add(user string, change state.Change) {
	e, ok := c.after.State.Entries[user]
	if !ok {
		e = c.before.State.Entries[user]
	}
	if user != "" {
		c.touched[user] = true
	}
	c.changes = append(c.changes, Change{Change: change, Organisation: e.Organisation, Project: e.Project, Environment: e.Environment, User: user})
}

// states adds the changes between the states.
func (c *comparison) states() {
	for _, change := range plan.StateChanges(c.before.State, c.after.State) {
		user := ""
		switch change.Kind {
		case state.KindEnvironment:
			user = change.Key
			if was, ok := change.Before["userName"].(string); ok && change.Reason == state.ReasonRenamed {
				c.former[user] = was
			}
		case state.KindHostname:
			user = owner(change.After)
			if user == "" {
				user = owner(change.Before)
			}
			if change.Action == state.HandOver || change.Action == state.Move {
				c.touched[owner(change.Before)] = true
			}
		default: // a node has no user
		}
		c.add(user, change)
	}
}

func owner(fields state.Fields) string {
	user, _ := fields["owner"].(string)
	return user
}

// environments adds the changes of environments that both plans have.
func (c *comparison) environments() {
	for _, user := range slices.Sorted(maps.Keys(c.after.Plan.Environments)) {
		now := c.after.Plan.Environments[user]
		was, ok := c.before.Plan.Environments[c.earlier(user)]
		if !ok {
			continue
		}
		source := c.source(user, was, now)
		reason := ReasonConfiguration
		if source {
			reason = ReasonSource
		}
		c.options(user, was, now, reason)
	}
}

// earlier returns the user name that an environment had before.
func (c *comparison) earlier(user string) string {
	if was, ok := c.former[user]; ok {
		return was
	}
	return user
}
