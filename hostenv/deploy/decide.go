package deploy

import "cmp"

// A Doubt is an activation whose result no journal has, because the run died or
// lost the connection to the node.
type Doubt struct {
	From string // what was active before
	Path string // what was being activated
	Exit *int   // the exit status that deploy-rs left, nil if it left none
	// Baseline is what the checks found before the activation, nil if that is unknown.
	Baseline *Verification
}

// Doubts returns the newest doubt of every profile, by node/profile, unless a
// later run settled it. exits returns the exit status that an activation of a run
// left, nil if it left none. The oldest outcome comes first.
func Doubts(outcomes []Outcome, exits func(run, node, profile string) *int) map[string]Doubt {
	doubts := map[string]Doubt{}
	for _, o := range outcomes {
		for _, p := range o.Profiles {
			key := p.Node + "/" + p.Profile
			switch {
			case p.Doubt != nil:
				d := *p.Doubt
				d.Exit, d.Baseline = exits(o.Run, p.Node, p.Profile), p.Baseline
				doubts[key] = d
			case p.State == StateActive, p.State == StateInSync,
				p.State == StateFailed && p.Reason.ofActivation() && p.Active != doubts[key].Path:
				delete(doubts, key)
			}
		}
	}
	return doubts
}

// A Decision is what a run does with a profile.
type Decision struct {
	State    State // in-sync, active, pending or failed
	Reason   Reason
	From     string // the path to go back to if the activation or a check fails, "" if there is none
	Rollback bool   // whether the node may go back by itself
	Err      error
}

// Decide compares the planned path with what the node reports. A path that is
// already active is activated again only if the node runs another system, or if
// it is unknown whether its activation succeeded.
func Decide(n Node, p Profile, seen Observed, doubt *Doubt) Decision {
	back := n.AutoRollback && n.MagicRollback
	switch {
	case p.Path == "":
		return Decision{State: StateFailed, Reason: ReasonEvaluation, Err: p.Broken}
	case seen.Active == p.Path && seen.Running != "":
		// For example, the node was booted from an older entry of the boot menu.
		from := seen.Running
		if doubt != nil && doubt.Path == p.Path && doubt.From != "" {
			from = doubt.From
		}
		return Decision{State: StatePending, Reason: ReasonNotRunning, From: from}
	case seen.Active == p.Path && doubt.certain(p, seen):
		if doubt != nil && doubt.Path == p.Path {
			return Decision{State: StateActive, Reason: ReasonAdopted, From: doubt.From}
		}
		return Decision{State: StateInSync}
	case seen.Active == p.Path:
		// deploy-rs goes back by one generation, but the newest one is this path
		// already, so the node must not go back by itself. Without a doubt, as
		// in another checkout, the node may know the path before; if it does not, we
		// cannot go back either.
		from := cmp.Or(seen.Previous, p.Path)
		if doubt != nil && doubt.Path == p.Path {
			from = doubt.From
		}
		return Decision{State: StatePending, Reason: ReasonDoubtful, From: from}
	case seen.Active == "":
		return Decision{State: StatePending, Reason: ReasonNew}
	default:
		return Decision{State: StatePending, Reason: ReasonChanged, From: seen.Active, Rollback: back}
	}
}

// certain reports whether the activation of the planned path, which is active,
// succeeded: the node records it, or deploy-rs left exit status 0 after the run
// had died.
//
// That the node did not go back proves nothing: if the connection is lost,
// activate-rs dies before it can go back.
func (d *Doubt) certain(p Profile, seen Observed) bool {
	return seen.Activated == p.Path || d != nil && d.Path == p.Path && d.Exit != nil && *d.Exit == 0
}

// A Settlement is what remains to be done after an activation.
type Settlement string

// The settlements.
const (
	SettledActive  Settlement = "active"  // it succeeded
	SettledBack    Settlement = "back"    // it failed, and the previous path is active and running
	SettledRestore Settlement = "restore" // it failed, and we must activate the previous path
	SettledRemove  Settlement = "remove"  // it failed, there is no previous path, and we must remove the profile
	SettledStuck   Settlement = "stuck"   // it failed, and there is no path to go back to
)

// Settle returns what to do after an activation. It compares what the node
// reported before and reports now; succeeded is what deploy-rs reported.
//
// The activation succeeded if the planned path is active, and the node or
// deploy-rs reports that its activation succeeded. The node is back only if the
// previous path is active, and activated and running if it was before: deploy-rs
// cannot activate a path again that no deploy brought.
func Settle(p Profile, from string, before, now Observed, succeeded bool) Settlement {
	fell := from != "" && (before.Activated == from && now.Activated != from || before.Running == "" && now.Running != "")
	switch {
	case now.Active == p.Path && (succeeded || now.Activated == p.Path):
		return SettledActive
	case now.Active == from && from != p.Path && !fell:
		return SettledBack
	case from != "" && from != p.Path:
		return SettledRestore
	case from == "" && !p.IsSystem():
		return SettledRemove
	default:
		return SettledStuck
	}
}
