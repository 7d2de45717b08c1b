package deploy

import (
	"cmp"
	"slices"
)

// The exit codes of a deploy.
const (
	ExitDone        = 0
	ExitFailed      = 1
	ExitChanges     = 2
	ExitPartial     = 3
	ExitStale       = 4
	ExitLocked      = 5
	ExitInterrupted = 130
)

// An Outcome is what a run has come to, by its events alone.
type Outcome struct {
	Run         string
	Start       Start
	Profiles    []ProfileOutcome // by node, the system first
	Findings    []Event          // of type finding, as they came
	Ended       bool
	Interrupted bool
}

// A ProfileOutcome is where a profile stands.
type ProfileOutcome struct {
	Node, Profile string
	State         State
	Reason        Reason
	Was, Want     string // what was active before the run, and what is planned
	Active        string // what the node said last
	Error, Hint   string
	Log           string
	Verification  *Verification
	Moved         *Moved
	Diff          *Diff
	Doubt         *Doubt // left by an activation of which it is not known how it ended
}

// Good reports whether the profile is where the plan wants it, and works as far
// as that is enforced.
func (p ProfileOutcome) Good() bool {
	broken := p.Verification != nil && p.Verification.Enforce && !p.Verification.OK()
	return p.up() && !broken
}

// up reports whether the profile is where the plan wants it.
func (p ProfileOutcome) up() bool { return p.State == StateInSync || p.State == StateActive }

// OutcomeOf folds events. A run that was taken up again goes on where it was:
// what was active before it is what was active before it first began.
func OutcomeOf(events []Event) Outcome {
	var o Outcome
	at := map[string]*ProfileOutcome{}
	for _, e := range events {
		o.Run = cmp.Or(e.Run, o.Run)
		switch e.Type {
		case TypeRun:
			if e.Start != nil {
				o.Start = *e.Start
			}
		case TypeResume:
			o.Ended, o.Interrupted, o.Findings = false, false, nil
		case TypeFinding:
			o.Findings = append(o.Findings, e)
		case TypeEnd:
			o.Ended, o.Interrupted = true, e.End != nil && e.End.Interrupted
		case TypeProfile, TypeVerification, TypeMove, TypeDiff:
			key := e.Node + "/" + e.Profile
			p := at[key]
			if p == nil {
				p = &ProfileOutcome{Node: e.Node, Profile: e.Profile, Was: e.Was}
				at[key] = p
			}
			p.fold(e)
		default: // versions and nodes say nothing of profiles
		}
	}
	for _, p := range at {
		o.Profiles = append(o.Profiles, *p)
	}
	slices.SortFunc(o.Profiles, func(a, b ProfileOutcome) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(rank(a.Profile), rank(b.Profile)), cmp.Compare(a.Profile, b.Profile))
	})
	return o
}

func rank(profile string) int {
	if profile == SystemProfile {
		return 0
	}
	return 1
}

func (p *ProfileOutcome) fold(e Event) {
	switch e.Type {
	case TypeVerification:
		p.Verification = e.Verification
	case TypeMove:
		p.Moved = e.Moved
	case TypeDiff:
		p.Diff = e.Diff
	case TypeProfile:
		p.State, p.Reason, p.Error, p.Hint = e.State, e.Reason, e.Error, e.Hint
		p.Want, p.Log = cmp.Or(e.Want, p.Want), cmp.Or(e.Log, p.Log)
		if e.State == StateActivating {
			p.Was, p.Verification = e.Was, nil
		}
		p.doubt(e)
		if e.State == StatePending || e.State.Final() {
			p.Active = e.Active
		}
	default:
	}
}

// doubt keeps track of activations: what comes before one, and what is not
// about it, leaves an older doubt as it is.
func (p *ProfileOutcome) doubt(e Event) {
	switch e.State {
	case StateActivating:
		p.Doubt = &Doubt{From: e.Was, Path: e.Want}
	case StateActive, StateInSync:
		p.Doubt = nil
	case StateFailed:
		// A failure that left the node at the new path could not be taken back.
		if p.Doubt != nil && e.Reason == ReasonActivation && e.Active != p.Doubt.Path {
			p.Doubt = nil
		}
	default:
	}
}

// Counts returns how many profiles are in each state.
func (o Outcome) Counts() map[string]int {
	counts := map[string]int{}
	for _, p := range o.Profiles {
		counts[string(p.State)]++
	}
	return counts
}

// Code returns the exit code of a run that deploys: done, failed where nothing
// is where it should be or nothing was begun, partial, locked, interrupted.
func (o Outcome) Code() int {
	if o.Interrupted {
		return ExitInterrupted
	}
	refused, locked := 0, 0
	for _, f := range o.Findings {
		if f.Finding.Level == Failure {
			refused++
			if f.Finding.Code == FindingLocked {
				locked++
			}
		}
	}
	good := 0
	for _, p := range o.Profiles {
		if p.Good() {
			good++
		}
	}
	switch {
	case refused > 0 && refused == locked:
		return ExitLocked
	case refused > 0:
		return ExitFailed
	case good == len(o.Profiles):
		return ExitDone
	case good == 0:
		return ExitFailed
	default:
		return ExitPartial
	}
}

// refused reports whether a finding keeps a run from beginning.
func refused(o Outcome) bool {
	return slices.ContainsFunc(o.Findings, func(e Event) bool { return e.Finding.Level == Failure })
}

// allGood reports whether a run that was asked to stop had nothing left to do.
func (o Outcome) allGood() bool {
	return len(o.Profiles) > 0 && !slices.ContainsFunc(o.Profiles, func(p ProfileOutcome) bool { return !p.Good() })
}

// PreviewCode returns the exit code of a run that deploys nothing: what would
// keep a deploy from beginning counts as it does there, and to have something to
// deploy is a code of its own where that is asked for.
func (o Outcome) PreviewCode(detailed bool) int {
	switch {
	case o.Interrupted || refused(o):
		return o.Code()
	case slices.ContainsFunc(o.Profiles, func(p ProfileOutcome) bool { return p.State == StateFailed }):
		return ExitFailed
	case detailed && len(o.Pending()) > 0:
		return ExitChanges
	}
	return ExitDone
}

// Deployed returns the node of every environment that the run knows to be at
// its planned path, by user.
func (o Outcome) Deployed() map[string]string {
	nodes := map[string]string{}
	for _, p := range o.Profiles {
		if p.Profile != SystemProfile && p.up() {
			nodes[p.Profile] = p.Node
		}
	}
	return nodes
}

// Pending returns the profiles that a deploy would activate, after a dry run.
func (o Outcome) Pending() []ProfileOutcome {
	return slices.DeleteFunc(slices.Clone(o.Profiles), func(p ProfileOutcome) bool { return p.State != StatePending })
}
