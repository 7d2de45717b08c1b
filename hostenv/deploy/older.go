package deploy

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// A PlanRecord is what a node keeps of the last plan that it got.
type PlanRecord struct {
	Serial int    `json:"serial"` // 0 for a plan without one
	Digest string `json:"digest"` // see plan.Document.Digest
	// Commit is the commit of the provider's repository, with [Dirty] if the plan was
	// not committed, and "" outside of git.
	Commit string `json:"commit,omitempty"`
	By     string `json:"by"`   // who deployed it
	Time   string `json:"time"` // RFC 3339, UTC
}

// Dirty is at the end of a commit if the plan was not as in it.
const Dirty = "-dirty"

func (p PlanRecord) String() string {
	text := fmt.Sprintf("plan %d", p.Serial)
	if p.Commit != "" {
		text += " of commit " + p.Commit
	}
	text += ", which " + cmp.Or(p.By, "an unknown user") + " deployed"
	if p.Time != "" {
		text += " at " + p.Time
	}
	return text
}

// outdated returns the finding for a node that has a newer plan than the run's, or
// another one with the same serial; nil if there is no such plan.
func (r *run) outdated(n *nodeRun, has PlanRecord) *Finding {
	code, text, fix := FindingOlderPlan, "this is plan %d, which is older", "get the newer plan (git pull), and deploy that; to go back on purpose, go back in flake.nix and flake.lock, and plan again"
	switch {
	case has.Serial > r.Plan.Serial:
	case has.Serial == r.Plan.Serial && has.Serial != 0 && has.Digest != r.Plan.Digest:
		code, text, fix = FindingOtherPlan, "this is another plan %d, without the changes of that one", "get that commit (git pull), run `mage plan`, and deploy"
	default:
		return nil
	}
	f := finding(Failure, code, fix+". -allowOlder=REASON deploys this plan nevertheless", "node %s has %s; "+text, n.Name, has, r.Plan.Serial)
	if reason := r.Options.AllowOlder; reason != "" {
		f.Level, f.Hint = Warning, "-allowOlder: "+reason
	}
	return f
}

// findOlder returns the findings of nodes that have a newer plan.
func (r *run) findOlder() []Event {
	var events []Event
	for _, n := range r.nodes {
		if !n.reached {
			continue
		}
		if f := r.outdated(n, n.seen().Plan); f != nil {
			events = append(events, Event{Type: TypeFinding, Node: n.Name, Finding: f})
		}
	}
	return events
}

// newer refuses a session that was opened after the preflight, if the node got a newer
// plan meanwhile: the lock was free while the connection was lost.
func (r *run) newer(n *nodeRun, has PlanRecord) error {
	if r.mode != Deploy || !n.had && slices.Contains(r.nodes, n) {
		return nil // the preflight reports it
	}
	if f := r.outdated(n, has); f != nil && f.Level == Failure {
		return problem.New("", f.Message, f.Hint)
	}
	return nil
}

// keep makes a node record the plan, and the node's environments that the plan holds
// back, before the profiles that are there are activated, and reports whether they may be.
// A node that is at the plan already records it too; one that could not get it stays with
// the record of the plan that it has.
func (r *run) keep(ctx context.Context, n *nodeRun, there []*profileRun) (may bool, err error) {
	behind := slices.ContainsFunc(n.profiles, func(p *profileRun) bool { return p.decision.State != StateInSync })
	if r.Plan.Serial == 0 || len(there) == 0 && behind {
		return true, nil
	}
	session, failure := n.open(ctx, r)
	if failure == nil {
		failure = session.Keep(ctx, r.Plan, r.heldOn[n.Name], r.Options.AllowOlder != "")
	}
	if failure == nil {
		return true, nil
	}
	for _, p := range there {
		if err := r.lostBefore(ctx, p, failure); err != nil {
			return false, err
		}
	}
	if len(there) == 0 { // nothing changes on the node
		return false, r.Journal.Append(Event{Type: TypeFinding, Node: n.Name, Finding: finding(
			Warning, FindingNotKept, problem.Hint(failure), "the number of the plan could not be recorded: %v", failure)})
	}
	return false, nil
}
