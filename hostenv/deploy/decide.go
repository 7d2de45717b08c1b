package deploy

// A Doubt is an activation of which no journal knows how it ended: the
// run died, or lost the node.
type Doubt struct {
	From string // what was active before
	Path string // what was being activated
	Exit *int   // the exit status that deploy-rs left, nil if it left none
}

// Doubts returns the doubts that runs left, by node/profile: of every profile
// the newest, unless a later run settled it. exits returns the exit status that
// an activation of a run left, if it did. Outcomes are in their order.
func Doubts(outcomes []Outcome, exits func(run, node, profile string) *int) map[string]Doubt {
	doubts := map[string]Doubt{}
	for _, o := range outcomes {
		for _, p := range o.Profiles {
			key := p.Node + "/" + p.Profile
			switch {
			case p.Doubt != nil:
				d := *p.Doubt
				d.Exit = exits(o.Run, p.Node, p.Profile)
				doubts[key] = d
			case p.State == StateActive, p.State == StateInSync,
				p.State == StateFailed && p.Reason == ReasonActivation && p.Active != doubts[key].Path:
				delete(doubts, key)
			}
		}
	}
	return doubts
}

// A Decision is what is to be done with a profile.
type Decision struct {
	State    State // in-sync, active, pending or failed
	Reason   Reason
	From     string // what is gone back to if it fails, "" for nothing
	Rollback bool   // whether the node itself may do that
	Err      error
}

// Decide compares what is planned with what the node says. Nothing is activated
// that is active already, unless it is doubtful that its activation ended well.
func Decide(n Node, p Profile, seen Observed, doubt *Doubt) Decision {
	back := n.AutoRollback && n.MagicRollback
	switch {
	case p.Path == "":
		return Decision{State: StateFailed, Reason: ReasonEvaluation, Err: p.Broken}
	case seen.Active == p.Path && seen.Running != "":
		// As after a start from an older entry of the boot menu.
		from := seen.Running
		if doubt != nil && doubt.Path == p.Path && doubt.From != "" {
			from = doubt.From
		}
		return Decision{State: StatePending, Reason: ReasonNotRunning, From: from}
	case seen.Active == p.Path && doubt.certain(p, seen):
		if doubt != nil && doubt.Path == p.Path {
			return Decision{State: StateActive, Reason: ReasonAdopted}
		}
		return Decision{State: StateInSync}
	case seen.Active == p.Path:
		// deploy-rs goes back by generations, of which this path has one already.
		// If it is not known what was there before, there is nothing to go back to.
		from := p.Path
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

// certain reports whether the planned path, which is active, came up: the node
// says so, or deploy-rs did of an activation whose run had died.
//
// That the node did not take it back proves nothing: activate-rs, whose link
// was lost, dies before it could.
func (d *Doubt) certain(p Profile, seen Observed) bool {
	return seen.Activated == p.Path || d != nil && d.Path == p.Path && d.Exit != nil && *d.Exit == 0
}

// A Settlement is what an activation that has ended leaves to do.
type Settlement string

// The settlements.
const (
	SettledActive  Settlement = "active"  // it is where it should be
	SettledBack    Settlement = "back"    // it failed, and is where it was
	SettledRestore Settlement = "restore" // it failed, and must be brought back by path
	SettledRemove  Settlement = "remove"  // it failed the first time, and the profile must go
	SettledStuck   Settlement = "stuck"   // it failed, and there is nothing to go back to
)

// Settle says what to do after an activation, by what the node said of the
// profile before and says now, and whether deploy-rs reported a success. A
// success without the path is a failure; the path is one, too, unless the node
// or deploy-rs says that it came up. To be back at the path from before is not
// enough if that was up then, and is not now: what deploy-rs did not bring it
// cannot activate again, either.
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
