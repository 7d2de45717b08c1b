package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Deployments writes what was deployed, in the given order: a line for each node of a
// run, and below it a line for each profile.
func Deployments(w io.Writer, all []deploy.Deployment) error {
	w = problem.NewWriter(w)
	for i, d := range all {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w, problem.Line(fmt.Sprintf("%s  %s: %s", d.Time.Format(time.RFC3339), d.Node, origin(d))))
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, p := range d.Profiles {
			fmt.Fprintf(table, "  %s\t%s\t%s\n", problem.Line(p.Profile), problem.Line(way(p)), problem.Line(result(p)))
		}
		if d.Omitted > 0 {
			fmt.Fprintf(table, "  and %d more\n", d.Omitted)
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// origin returns of which plan a deployment was, and who made it.
func origin(d deploy.Deployment) string {
	var parts []string
	if d.Plan.Serial > 0 {
		parts = append(parts, fmt.Sprintf("plan %d", d.Plan.Serial))
	}
	if d.Plan.Commit != "" {
		hash, dirty := strings.CutSuffix(d.Plan.Commit, deploy.Dirty)
		hash = hash[:min(len(hash), 9)]
		if dirty {
			hash += deploy.Dirty
		}
		parts = append(parts, "of commit "+hash)
	}
	who, _, _ := strings.Cut(d.Plan.By, ", process ") // see drive.Holder
	if who == "" {
		who = "an unknown user"
	}
	return strings.Join(append(parts, "by "+who), " ")
}

func way(p deploy.Deployed) string {
	to := Short(p.To)
	if p.To == "" {
		to = "unknown"
	}
	return Short(p.From) + " -> " + to
}

func result(p deploy.Deployed) string {
	text := profile(deploy.Event{State: p.State, Reason: p.Reason, Error: p.Error})
	if p.Checks == "failed" && p.State == deploy.StateActive {
		text += ", does not work"
	}
	if p.Active != "" {
		text += "; the node has " + Short(p.Active)
	}
	return text
}
