package fleetpage

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// A Deploy says when a profile was deployed, by whom and from which commit.
type Deploy struct {
	At     Time
	Ago    string
	By     string
	Commit string // of the provider's repository, "" if the run did not record one
	// Uncommitted says that the plan was not as in the commit.
	Uncommitted bool
	Run         string // the id of the run's element
	// Failed is the last attempt, if that did not succeed after At.
	Failed *Attempt
}

// An Attempt is a deploy of a profile that did not end with its planned path.
type Attempt struct {
	At    Time
	State string
	Run   string // the id of the run's element
}

// A lastDeploy is the last run that activated a profile, and a later one that failed to.
type lastDeploy struct {
	done   *Run
	at     time.Time
	failed *Run
	state  deploy.State
}

// lastDeploys returns the last deploy of every environment by its user name, and of
// every system by node/system.
func lastDeploys(runs []Run) map[string]lastDeploy {
	last := map[string]lastDeploy{}
	for i := range runs {
		r := &runs[i]
		for _, p := range r.Outcome.Profiles {
			key := profileKey(p.Node, p.Profile)
			was := last[key]
			switch at, activated := r.Activated[p.Node+"/"+p.Profile]; {
			case p.State == deploy.StateInSync:
				was.failed = nil
			case p.State == deploy.StateActive && activated:
				was = lastDeploy{done: r, at: at}
			case p.State == deploy.StateFailed || p.State == deploy.StateUnknown:
				was.failed, was.state = r, p.State
			case !p.State.Final() && p.State != deploy.StatePending:
				was.failed, was.state = r, deploy.StateUnknown // the run did not end
			}
			last[key] = was
		}
	}
	return last
}

func profileKey(node, profile string) string {
	if profile == deploy.SystemProfile {
		return node + "/" + profile
	}
	return profile
}

// deployOf returns the last deploy of a profile, nil if this checkout has no run of it.
func (c *facts) deployOf(key string) *Deploy {
	last, ok := c.deploys[key]
	if !ok || last.done == nil && last.failed == nil {
		return nil
	}
	d := &Deploy{}
	if r := last.done; r != nil {
		start := r.Outcome.Start
		d.At, d.By, d.Commit, d.Uncommitted, d.Run = Time{last.at}, who(start.By), start.Commit, start.Uncommitted, runID(r.ID)
		d.Ago = ago(d.At, c.Now)
	}
	if r := last.failed; r != nil {
		d.Failed = &Attempt{At: Time{cmp.Or(r.Ended, r.Begun)}, State: string(last.state), Run: runID(r.ID)}
	}
	return d
}

// Short is the beginning of the commit.
func (d Deploy) Short() string { return short(d.Commit) }

// who is the user and the host of a holder, without its process.
func who(holder string) string {
	name, _, _ := strings.Cut(holder, ", process ")
	return name
}

func runID(run string) string { return "run-" + strings.ToLower(run) }

// A RunRow is one run.
type RunRow struct {
	ID, Name    string
	Begun       Time
	Ago         string
	Took        string
	By          string
	Commit      string
	Uncommitted bool
	Plan        string // the beginning of the plan's digest
	Selected    string // what was selected, "" for everything
	Result      Badge
	Counts      []Count
	Failures    []Failure
	More        int // failures that are not shown
	Place       int // on the axis, in thousandths
}

// Short is the beginning of the commit.
func (r RunRow) Short() string { return short(r.Commit) }

// A Count is how many profiles of a run are in one state. From and Width are its part
// of a bar that is a hundred wide.
type Count struct {
	Tone        Tone
	Word        string
	Number      int
	From, Width int
}

// A Failure is a profile of a run, or the run itself, that failed.
type Failure struct {
	Subject, Text, Hint string
}

// An Axis is the time that the runs of a page span.
type Axis struct{ From, To Time }

// mostFailures is how many failures of a run are shown.
const mostFailures = 20

// runs returns the rows of all runs, the newest first.
func (c *facts) runs() ([]RunRow, Axis) {
	var axis Axis
	for _, r := range c.Runs {
		if r.Begun.IsZero() {
			continue
		}
		if axis.From.IsZero() || r.Begun.Before(axis.From.Time) {
			axis.From = Time{r.Begun}
		}
		if r.Begun.After(axis.To.Time) {
			axis.To = Time{r.Begun}
		}
	}
	var rows []RunRow
	for _, r := range slices.Backward(c.Runs) {
		row := c.run(r)
		if span := axis.To.Sub(axis.From.Time); span > 0 && !r.Begun.IsZero() {
			row.Place = int(r.Begun.Sub(axis.From.Time) * 1000 / span)
		}
		rows = append(rows, row)
	}
	return rows, axis
}

func (c *facts) run(r Run) RunRow {
	row := RunRow{ID: runID(r.ID), Name: r.ID, Begun: Time{r.Begun}, Ago: ago(Time{r.Begun}, c.Now)}
	if r.Unreadable != nil {
		text, hint := said(r.Unreadable)
		row.Result, row.Failures = Badge{Unknown, "cannot be read"}, []Failure{{Subject: r.ID, Text: text, Hint: hint}}
		return row
	}
	o := r.Outcome
	row.By, row.Commit, row.Uncommitted, row.Plan = who(o.Start.By), o.Start.Commit, o.Start.Uncommitted, short(o.Start.Plan)
	row.Selected = selected(o.Start.Selected)
	if !r.Ended.IsZero() {
		row.Took = r.Ended.Sub(r.Begun).Round(time.Second).String()
	}
	row.Result = resultOf(o)
	row.Counts = countsOf(o)
	row.Failures = failuresOf(o)
	row.More = max(0, len(row.Failures)-mostFailures)
	row.Failures = row.Failures[:len(row.Failures)-row.More]
	return row
}

// resultOf is how a run ended.
func resultOf(o deploy.Outcome) Badge {
	if !o.Ended {
		return Badge{Bad, "did not end"}
	}
	switch o.Code() {
	case deploy.ExitDone, deploy.ExitHeld: // the notices have what is held back
		return Badge{Good, "done"}
	case deploy.ExitPartial:
		return Badge{Warn, "done in part"}
	case deploy.ExitInterrupted:
		return Badge{Warn, "interrupted"}
	case deploy.ExitLocked:
		return Badge{Unknown, "another run held a node"}
	default:
		return Badge{Bad, "failed"}
	}
}

// countsOf counts the profiles of a run by their state.
func countsOf(o deploy.Outcome) []Count {
	order := []Count{
		{Tone: Good, Word: "activated"}, {Tone: Plain, Word: "in sync"}, {Tone: Bad, Word: "failed"},
		{Tone: Bad, Word: "unknown"}, {Tone: Unknown, Word: "unreachable"}, {Tone: Unknown, Word: "skipped"}, {Tone: Unknown, Word: "undecided"},
	}
	at := map[deploy.State]int{deploy.StateActive: 0, deploy.StateInSync: 1, deploy.StateFailed: 2, deploy.StateUnknown: 3, deploy.StateUnreachable: 4, deploy.StateSkipped: 5}
	for _, p := range o.Profiles {
		i, known := at[p.State]
		if !known {
			i = len(order) - 1
		}
		order[i].Number++
	}
	var counts []Count
	seen := 0
	for _, count := range order {
		if count.Number == 0 {
			continue
		}
		count.From = 100 * seen / len(o.Profiles)
		seen += count.Number
		count.Width = max(100*seen/len(o.Profiles)-count.From, 1)
		counts = append(counts, count)
	}
	return counts
}

// failuresOf are the findings that refused a run, and the profiles that failed.
func failuresOf(o deploy.Outcome) []Failure {
	var all []Failure
	for _, e := range o.Findings {
		if e.Finding != nil && e.Finding.Level == deploy.Failure {
			all = append(all, Failure{Subject: cmp.Or(e.Node, "the run"), Text: limited(e.Finding.Message), Hint: limited(e.Finding.Hint)})
		}
	}
	for _, p := range o.Profiles {
		subject := p.Profile + " on " + p.Node
		if p.Error != "" {
			all = append(all, Failure{Subject: subject, Text: limited(p.Error), Hint: limited(p.Hint)})
		}
		if p.Verification == nil || p.Verification.OK() {
			continue
		}
		for _, check := range p.Verification.Checks {
			if !check.OK {
				all = append(all, Failure{Subject: subject, Text: limited(fmt.Sprintf("%s: %s", cmp.Or(check.URL, check.Name), check.Problem))})
			}
		}
	}
	return all
}

// selected is a selection in words.
func selected(s deploy.Selection) string {
	var parts []string
	for _, part := range []struct {
		word  string
		names []string
	}{{"nodes", s.Nodes}, {"environments", s.Profiles}, {"without", s.Exclude}} {
		if len(part.names) > 0 {
			parts = append(parts, part.word+" "+strings.Join(part.names, ", "))
		}
	}
	return strings.Join(parts, "; ")
}
