package deploy

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// A Deployment is what one run did to one node. The node keeps the newest
// [KeptDeployments], and the journal of the run gives the same.
type Deployment struct {
	Node string    `json:"node"`
	Run  string    `json:"run"`  // the id of the run, whose journal is on the machine that deployed
	Time time.Time `json:"time"` // of the last event of the node, UTC
	// Plan is the plan that the run deployed; its time is the begin of the run.
	Plan PlanRecord `json:"plan"`
	// Profiles are those that the run changed, or could not change: the system first.
	Profiles []Deployed `json:"profiles"`
	// Omitted is the number of further profiles, of which a node keeps no more.
	Omitted int `json:"omitted,omitempty"`
}

// Deployed is the result of a run for one profile.
type Deployed struct {
	Profile string `json:"profile"`
	From    string `json:"from,omitempty"` // the path that was active before, "" if there was none
	To      string `json:"to,omitempty"`   // the planned path, "" if its evaluation failed
	// Active is the path that the node had in the end, if it is neither To after a
	// success nor From.
	Active string `json:"active,omitempty"`
	State  State  `json:"state"`
	Reason Reason `json:"reason,omitempty"`
	// Checks is "passed" or "failed", "" if no check was made.
	Checks string `json:"checks,omitempty"`
	Error  string `json:"error,omitempty"` // its beginning
}

// Good reports whether the planned path is active, and no check of it failed.
func (d Deployed) Good() bool { return d.State == StateActive && d.Checks != checksFailed }

// Good reports whether every profile is good.
func (d Deployment) Good() bool {
	return !slices.ContainsFunc(d.Profiles, func(p Deployed) bool { return !p.Good() })
}

const checksPassed, checksFailed = "passed", "failed"

const (
	// KeptDeployments is how many deployments a node keeps.
	KeptDeployments = 100
	// maxDeployment bounds the line of a deployment on a node, in bytes: 100 of them are
	// at most 3.2 MB.
	maxDeployment = 32 << 10
	// maxDeployedError is how many characters of an error a deployment has.
	maxDeployedError = 300
)

// DeploymentsOf computes from the events of a run what it did, by node. A node where it
// changed nothing, and where nothing failed, has none.
func DeploymentsOf(events []Event) []Deployment {
	outcome := OutcomeOf(events)
	record := PlanRecord{Serial: outcome.Start.Serial, Digest: outcome.Start.Plan, Commit: outcome.Start.Commit, By: outcome.Start.By}
	if record.Commit != "" && outcome.Start.Uncommitted {
		record.Commit += Dirty
	}
	last := map[string]time.Time{}
	for _, e := range events {
		switch e.Type {
		case TypeRun:
			record.Time = timeOf(e).Format(time.RFC3339)
		case TypeProfile, TypeVerification, TypeMove:
			last[e.Node] = timeOf(e)
		default:
		}
	}
	var all []Deployment
	for _, p := range outcome.Profiles { // by node, the system first
		d, ok := deployed(p)
		if !ok {
			continue
		}
		if len(all) == 0 || all[len(all)-1].Node != p.Node {
			all = append(all, Deployment{Node: p.Node, Run: outcome.Run, Time: last[p.Node], Plan: record})
		}
		all[len(all)-1].Profiles = append(all[len(all)-1].Profiles, d)
	}
	return slices.DeleteFunc(all, func(d Deployment) bool {
		return !slices.ContainsFunc(d.Profiles, func(p Deployed) bool { return p.State != StateSkipped })
	})
}

// deployed returns what a deployment has of a profile, if the run changed it or should
// have.
func deployed(p ProfileOutcome) (d Deployed, ok bool) {
	d = Deployed{Profile: p.Profile, From: p.Was, To: p.Want, State: p.State, Reason: p.Reason, Error: errorLine(p.Error)}
	switch p.State {
	case StateInSync:
		// The run was resumed, and had activated it before.
		d.State = StateActive
		ok = p.Was != p.Want
	case StateActive:
		ok = true
	case StateFailed, StateSkipped, StateUnknown:
		if ok = true; p.Active != p.Was {
			d.Active = p.Active
		}
	default:
		ok = p.Doubt != nil // the run died in an activation, or is not over
	}
	if p.Verification != nil {
		d.Checks = checksPassed
		if !p.Verification.OK() {
			d.Checks = checksFailed
		}
	}
	return d, ok
}

// errorLine returns the beginning of an error.
func errorLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return plain(line, maxDeployedError)
}

// timeOf returns the time of an event; the journal writes no other form.
func timeOf(e Event) time.Time {
	at, _ := time.Parse(time.RFC3339Nano, e.Time)
	return at.UTC()
}

// Encode returns the deployment as a line of JSON, without its end, for the record of a
// node. It has as many profiles as fit.
func (d Deployment) Encode() []byte {
	for {
		line, err := json.Marshal(d)
		if err != nil { // no field can fail
			panic("encode a deployment: " + err.Error())
		}
		if line = problem.JSON(line); len(line) <= maxDeployment || len(d.Profiles) == 0 {
			return line
		}
		keep := len(d.Profiles) * maxDeployment / len(line)
		d.Omitted += len(d.Profiles) - keep
		d.Profiles = d.Profiles[:keep]
	}
}

// ReadDeployments reads what a node keeps, a line for each deployment. It skips what is
// no deployment.
func ReadDeployments(node string, lines [][]byte) []Deployment {
	var all []Deployment
	for _, line := range lines {
		var d Deployment
		if err := json.Unmarshal(line, &d); err != nil || d.Time.IsZero() {
			continue
		}
		d.Node = node
		all = append(all, d)
	}
	return all
}

// MergeDeployments joins lists of deployments, the newest first. Of a run and a node it
// keeps the newest one: a run that was resumed has several.
func MergeDeployments(lists ...[]Deployment) []Deployment {
	type key struct{ node, run string }
	at := map[key]int{}
	var all []Deployment
	for _, d := range slices.Concat(lists...) {
		k := key{d.Node, d.Run}
		i, ok := at[k]
		switch {
		case !ok || d.Run == "":
			at[k] = len(all)
			all = append(all, d)
		case all[i].Time.Before(d.Time) || all[i].Time.Equal(d.Time) && all[i].Omitted > d.Omitted:
			all[i] = d
		}
	}
	slices.SortStableFunc(all, func(a, b Deployment) int {
		return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(b.Run, a.Run), cmp.Compare(a.Node, b.Node))
	})
	return all
}

// recordTime bounds how long a node may take to record a deployment.
const recordTime = time.Minute

// record makes a node record what the run did to it. A failure is only reported.
func (r *run) record(ctx context.Context, n *nodeRun) error {
	all := DeploymentsOf(r.Journal.Events())
	i := slices.IndexFunc(all, func(d Deployment) bool { return d.Node == n.Name })
	if i < 0 || r.mode != Deploy || ctx.Err() != nil {
		return nil
	}
	if slices.ContainsFunc(all[i].Profiles, func(p Deployed) bool { return p.Reason == ReasonLost }) {
		return nil // the run reports that the node does not answer
	}
	limited, cancel := context.WithTimeout(ctx, recordTime)
	defer cancel()
	session, err := n.open(limited, r)
	if err == nil {
		err = session.Record(limited, all[i])
	}
	if err == nil {
		return nil
	}
	return r.Journal.Append(Event{Type: TypeFinding, Node: n.Name, Finding: finding(
		Warning, FindingNotRecorded, problem.Hint(err), "node %s could not record the deployment: %v", n.Name, err)})
}

// heldOn returns the environments of a node that the plan holds back, sorted.
func heldOn(held []plan.Held, n Node) []string {
	var users []string
	for _, h := range held {
		for _, user := range h.Keeps {
			if _, ok := n.Profile(user); ok {
				users = append(users, user)
			}
		}
	}
	slices.Sort(users)
	return slices.Compact(users)
}

// JournaledDeployments returns what the runs in a folder of journals did. The error has
// every journal that cannot be read.
func JournaledDeployments(runs string) ([]Deployment, error) {
	ids, err := Runs(runs)
	if err != nil {
		return nil, err
	}
	var all []Deployment
	var unread problem.List
	for _, id := range ids {
		events, err := ReadJournal(runs, id)
		if err != nil {
			unread.Add(err)
			continue
		}
		all = append(all, DeploymentsOf(events)...)
	}
	return all, unread.Err()
}

// SelectDeployments returns the deployments of nodes, with the profiles alone that the
// patterns of a [Selection] match, without those of which nothing is left.
func SelectDeployments(all []Deployment, selection Selection) []Deployment {
	var selected []Deployment
	for _, d := range all {
		if len(selection.Nodes) > 0 && !matches(selection.Nodes, d.Node) {
			continue
		}
		if len(selection.Profiles) > 0 {
			d.Profiles = slices.DeleteFunc(slices.Clone(d.Profiles), func(p Deployed) bool { return !matches(selection.Profiles, p.Profile) })
		}
		if len(d.Profiles) > 0 {
			selected = append(selected, d)
		}
	}
	return selected
}

// Deployments collects the deployments that nodes keep. Its method Ask is for [Survey],
// and is safe for concurrent use.
type Deployments struct{ found collected[Deployment] }

// Ask adds the deployments of a node.
func (a *Deployments) Ask(ctx context.Context, _ Node, s Session) error {
	found, err := s.Deployments(ctx)
	a.found.add(found...)
	return err
}

// All returns the deployments that Ask found, the oldest first.
func (a *Deployments) All() []Deployment {
	return a.found.sorted(func(x, y Deployment) int { return x.Time.Compare(y.Time) })
}
