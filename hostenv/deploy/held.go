package deploy

import (
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// A Held is a project that the plan holds back: the run deploys what the plan before
// had of it.
type Held struct {
	Project string   `json:"project"` // the flake input, organisation__project
	Reasons []string `json:"reasons"`
	Keeps   []string `json:"keeps"` // users of its environments, sorted; empty if no plan had any
}

// heldEvents returns an event for each project that the plan holds back.
func heldEvents(held []plan.Held) []Event {
	events := make([]Event, len(held))
	for i, h := range held {
		e := &Held{Project: h.Project, Reasons: []string{}, Keeps: append([]string{}, h.Keeps...)}
		for _, err := range problem.Leaves(h.Reason) {
			e.Reasons = append(e.Reasons, err.Error())
		}
		events[i] = Event{Type: TypeHeld, Held: e}
	}
	return events
}
