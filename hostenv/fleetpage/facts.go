package fleetpage

import (
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// Facts are all that a page shows.
type Facts struct {
	Now   time.Time // when the page is made
	Plan  plan.Document
	State state.State
	Runs  []Run    // the deploys of this checkout, the newest last
	Asked *Answers // nil if the nodes were not asked
}

// Answers are what nodes answered.
type Answers struct {
	At           time.Time // when the last of them had answered
	Statuses     []deploy.Status
	Certificates []deploy.Certificate
	Leftovers    []deploy.Leftover
	Findings     []deploy.Event
	Errors       []error // of nodes that could not be examined
}

// A Run is one deploy, from its journal.
type Run struct {
	ID           string
	Begun, Ended time.Time // zero if the journal does not say
	Outcome      deploy.Outcome
	// Activated has the time at which each profile became active, by node/profile.
	Activated map[string]time.Time
	// Unreadable is the error of a journal that cannot be read: then only ID is set.
	Unreadable error
}

// RunOf returns the run of a journal's events.
func RunOf(id string, events []deploy.Event) Run {
	r := Run{ID: id, Outcome: deploy.OutcomeOf(events), Activated: map[string]time.Time{}}
	for _, e := range events {
		at, err := time.Parse(time.RFC3339Nano, e.Time)
		if err != nil {
			continue
		}
		if r.Begun.IsZero() {
			r.Begun = at
		}
		switch {
		case e.Type == deploy.TypeEnd:
			r.Ended = at
		case e.Type == deploy.TypeResume:
			r.Ended = time.Time{}
		case e.Type == deploy.TypeProfile && e.State == deploy.StateActive:
			r.Activated[e.Node+"/"+e.Profile] = at
		}
	}
	return r
}
