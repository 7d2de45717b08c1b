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
	ExitHeld        = 6 // the plan holds projects back
	ExitInterrupted = 130
)

// An Outcome is the result of a run, computed from its events alone.
type Outcome struct {
	Run         string
	Start       Start
	Profiles    []ProfileOutcome // by node, the system first
	Held        []Held           // the projects that the plan holds back
	Findings    []Event          // of type finding, in order
	Waves       []Wave           // in order, none if there is one only
	Ended       bool
	Interrupted bool
}

// A ProfileOutcome is the result of a run for one profile.
type ProfileOutcome struct {
	Node, Profile string
	State         State
	Reason        Reason
	Was, Want     string // the path that was active before the run, and the planned path
	Active        string // the path that the node reported last
	Error, Hint   string
	Log           string
	Baseline      *Verification // what the checks found before the activation
	Verification  *Verification // what they found after it
	Recheck       *Verification // what they found after the profile went back
	Moved         *Moved
	Diff          *Diff
	Doubt         *Doubt // an activation whose result is unknown
}

// Good reports whether the planned path is active, and passes its enforced checks, or
// fails only those that failed before the activation as well.
func (p ProfileOutcome) Good() bool {
	return p.up() && (p.Verification == nil || p.Verification.good())
}

// up reports whether the planned path is active.
func (p ProfileOutcome) up() bool { return p.State == StateInSync || p.State == StateActive }

// OutcomeOf computes the outcome of events. For a run that was resumed, Was is the
// path that was active before the run first began.
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
			o.Ended, o.Interrupted, o.Held, o.Findings, o.Waves = false, false, nil, nil, nil
		case TypeHeld:
			if e.Held != nil {
				o.Held = append(o.Held, *e.Held)
			}
		case TypeWave:
			if e.Wave != nil && e.State == StatePending {
				o.Waves = append(o.Waves, *e.Wave)
			}
		case TypeFinding:
			o.Findings = append(o.Findings, e)
		case TypeEnd:
			o.Ended, o.Interrupted = true, e.End != nil && e.End.Interrupted
		case TypeProfile, TypeBaseline, TypeVerification, TypeRecheck, TypeMove, TypeDiff:
			key := e.Node + "/" + e.Profile
			p := at[key]
			if p == nil {
				p = &ProfileOutcome{Node: e.Node, Profile: e.Profile, Was: e.Was}
				at[key] = p
			}
			p.fold(e)
		default: // versions and nodes do not change profiles
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
	case TypeBaseline:
		p.Baseline = e.Verification
	case TypeVerification:
		p.Verification = e.Verification
	case TypeRecheck:
		p.Recheck = e.Verification
	case TypeMove:
		p.Moved = e.Moved
	case TypeDiff:
		p.Diff = e.Diff
	case TypeProfile:
		p.State, p.Reason, p.Error, p.Hint = e.State, e.Reason, e.Error, e.Hint
		p.Want, p.Log = cmp.Or(e.Want, p.Want), cmp.Or(e.Log, p.Log)
		switch e.State {
		case StatePending:
			p.Baseline = nil
		case StateActivating:
			p.Was, p.Verification, p.Recheck = e.Was, nil, nil
		default:
		}
		p.doubt(e)
		if e.State == StatePending || e.State.Final() {
			p.Active = e.Active
		}
	default:
	}
}

// doubt updates Doubt. Events before an activation, and failures that are not of
// an activation, leave an older doubt unchanged.
func (p *ProfileOutcome) doubt(e Event) {
	switch e.State {
	case StateActivating:
		p.Doubt = &Doubt{From: e.Was, Path: e.Want}
	case StateActive, StateInSync:
		p.Doubt = nil
	case StateFailed:
		// If the node still has the new path, we could not go back: the doubt stays.
		if p.Doubt != nil && e.Reason.ofActivation() && e.Active != p.Doubt.Path {
			p.Doubt = nil
		}
	default:
	}
}

// ofActivation reports whether a failure is that of a path that was activated.
func (r Reason) ofActivation() bool {
	return r == ReasonActivation || r == ReasonHealth || r == ReasonTimeout
}

// Counts returns how many profiles are in each state.
func (o Outcome) Counts() map[string]int {
	counts := map[string]int{}
	for _, p := range o.Profiles {
		counts[string(p.State)]++
	}
	return counts
}

// Code returns the exit code of a deploy: failed if no profile is good or the run
// did not begin, partial if only some profiles are good, [ExitHeld] if all are good
// and the plan holds projects back.
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
		return o.done()
	case good == 0:
		return ExitFailed
	default:
		return ExitPartial
	}
}

// done returns the exit code of a success.
func (o Outcome) done() int {
	if len(o.Held) > 0 {
		return ExitHeld
	}
	return ExitDone
}

// refused reports whether a finding stops a run before it begins.
func refused(o Outcome) bool {
	return slices.ContainsFunc(o.Findings, func(e Event) bool { return e.Finding.Level == Failure })
}

// allGood reports whether every profile is good. Then a run was complete, even if it
// was asked to stop.
func (o Outcome) allGood() bool {
	return len(o.Profiles) > 0 && !slices.ContainsFunc(o.Profiles, func(p ProfileOutcome) bool { return !p.Good() })
}

// PreviewCode returns the exit code of a preview. Findings that stop a deploy have
// the same code as there. If detailed is true, pending profiles have a code of
// their own, [ExitChanges], unless the plan holds projects back.
func (o Outcome) PreviewCode(detailed bool) int {
	switch {
	case o.Interrupted || refused(o):
		return o.Code()
	case slices.ContainsFunc(o.Profiles, func(p ProfileOutcome) bool { return p.State == StateFailed }):
		return ExitFailed
	case detailed && len(o.Pending()) > 0 && len(o.Held) == 0:
		return ExitChanges
	}
	return o.done()
}

// Deployed returns the node of every environment whose planned path is active, by
// user.
func (o Outcome) Deployed() map[string]string {
	nodes := map[string]string{}
	for _, p := range o.Profiles {
		if p.Profile != SystemProfile && p.up() {
			nodes[p.Profile] = p.Node
		}
	}
	return nodes
}

// Pending returns the profiles that a deploy would activate. The outcome is that
// of a dry run.
func (o Outcome) Pending() []ProfileOutcome {
	return slices.DeleteFunc(slices.Clone(o.Profiles), func(p ProfileOutcome) bool { return p.State != StatePending })
}
