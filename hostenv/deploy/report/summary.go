package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// Summary writes a table of all profiles, then the details of each failure, and
// then one line for the whole run.
func Summary(w io.Writer, o deploy.Outcome) error {
	w = problem.NewWriter(w)
	if len(o.Profiles) > 0 {
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "NODE\tPROFILE\tSTATE\tACTIVE")
		for _, p := range o.Profiles {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", p.Node, p.Profile, stateOf(p), activeOf(p))
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	details(w, o.Profiles)
	fmt.Fprintln(w, Total(o))
	return nil
}

func stateOf(p deploy.ProfileOutcome) string {
	text := string(p.State)
	if p.Reason != "" && p.State != deploy.StateActive {
		text += " (" + string(p.Reason) + ")"
	}
	switch {
	case p.State == deploy.StateFailed || p.Verification == nil || p.Verification.OK():
	case p.Verification.Enforce && p.Good():
		text += ", does not work, as before"
	default:
		text += ", does not work"
	}
	return text
}

func activeOf(p deploy.ProfileOutcome) string {
	switch p.State {
	case deploy.StateUnknown, deploy.StateUnreachable:
		return "unknown"
	case deploy.StateActive, deploy.StateInSync:
		return Short(p.Want)
	case deploy.StateFailed, deploy.StateSkipped, deploy.StatePending:
		return Short(p.Active)
	default:
		return "unknown" // the run still works on it
	}
}

// details writes every failure, and every environment whose checks failed. A cause
// that several profiles of a node share, such as a lost connection, is written
// once.
func details(w io.Writer, profiles []deploy.ProfileOutcome) {
	type cause struct{ node, text, hint, log string }
	causeOf := func(p deploy.ProfileOutcome) cause { return cause{p.Node, p.Error, p.Hint, p.Log} }
	names := map[cause][]string{}
	for _, p := range profiles {
		names[causeOf(p)] = append(names[causeOf(p)], p.Profile)
	}
	for _, p := range profiles {
		if c := causeOf(p); p.Error != "" && p.Profile == names[c][0] {
			fmt.Fprintf(w, "\n%s %s: %s\n", p.Node, problem.Join(names[c]), problem.Indented(p.Error))
			for hint := range strings.Lines(problem.Visible(p.Hint)) {
				fmt.Fprintf(w, "hint: %s\n", strings.TrimSuffix(hint, "\n"))
			}
			if p.Log != "" {
				fmt.Fprintf(w, "log: %s\n", problem.Line(p.Log))
			}
		}
		if p.Verification == nil || p.Verification.OK() {
			continue
		}
		fmt.Fprintf(w, "\n%s %s: %s\n", p.Node, p.Profile, verification(*p.Verification))
		for _, c := range p.Verification.Checks {
			if !c.OK {
				fmt.Fprintf(w, "- %s: %s\n", problem.Line(cmp.Or(c.URL, c.Name, "a check")), problem.Indented(c.Problem))
			}
		}
		if p.Recheck != nil {
			fmt.Fprintf(w, "back at the version before: %s\n", verification(*p.Recheck))
		}
	}
}

// Total returns the outcome of a run in one line.
func Total(o deploy.Outcome) string {
	counts := o.Counts()
	var parts []string
	order := []deploy.State{deploy.StateActive, deploy.StateInSync, deploy.StatePending, deploy.StateFailed, deploy.StateUnknown, deploy.StateSkipped, deploy.StateUnreachable}
	for _, state := range order {
		if n := counts[string(state)]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, words(state)))
		}
		delete(counts, string(state))
	}
	rest := 0
	for _, n := range counts {
		rest += n
	}
	if rest > 0 {
		parts = append(parts, fmt.Sprintf("%d undecided", rest))
	}
	if len(parts) == 0 {
		return "no profile was changed"
	}
	return strings.Join(parts, ", ")
}

func words(s deploy.State) string {
	switch s {
	case deploy.StateActive:
		return "activated"
	case deploy.StateInSync:
		return "in sync"
	case deploy.StatePending:
		return "to be activated"
	default:
		return string(s)
	}
}

// Preview writes what a deploy would change.
func Preview(w io.Writer, o deploy.Outcome) error {
	w = problem.NewWriter(w)
	for _, p := range o.Profiles {
		if p.State == deploy.StateInSync {
			continue
		}
		fmt.Fprintf(w, "%s %s: %s\n", p.Node, p.Profile, stateOf(p))
		if p.State == deploy.StatePending {
			fmt.Fprintf(w, "  - %s\n  + %s\n", orNone(p.Active), p.Want)
		}
		if p.Error != "" {
			fmt.Fprintf(w, "  %s\n", problem.Indented(p.Error))
		}
		if p.Diff == nil {
			continue
		}
		for _, list := range []struct {
			sign    string
			changes []deploy.PackageChange
		}{{"+", p.Diff.Added}, {"-", p.Diff.Removed}, {"~", p.Diff.Changed}} {
			for _, c := range list.changes {
				fmt.Fprintf(w, "  %s %s %s\n", list.sign, problem.Line(c.Name), problem.Line(versions(c)))
			}
		}
		sign := "+"
		if p.Diff.Delta < 0 {
			sign = ""
		}
		fmt.Fprintf(w, "  %s to copy in %d paths, closure %s (%s%s)\n", Size(p.Diff.Copy), p.Diff.Paths, Size(p.Diff.Size), sign, Size(p.Diff.Delta))
	}
	for _, wave := range o.Waves {
		fmt.Fprintf(w, "%s: %s\n", wave, problem.Line(inWave(wave)))
	}
	fmt.Fprintln(w, Total(o))
	return nil
}

// inWave lists the profiles of a wave by node: "n1 (system, site-main), n2 (system)".
func inWave(wave deploy.Wave) string {
	of := map[string][]string{}
	for _, key := range wave.Profiles {
		node, profile, _ := strings.Cut(key, "/")
		of[node] = append(of[node], profile)
	}
	var nodes []string
	for _, node := range slices.Sorted(maps.Keys(of)) {
		const most = 4
		if i := slices.Index(of[node], deploy.SystemProfile); i > 0 { // the system first
			of[node] = slices.Insert(slices.Delete(of[node], i, i+1), 0, deploy.SystemProfile)
		}
		shown := strings.Join(of[node][:min(len(of[node]), most)], ", ")
		if more := len(of[node]) - most; more > 0 {
			shown += fmt.Sprintf(" and %d more", more)
		}
		nodes = append(nodes, fmt.Sprintf("%s (%s)", node, shown))
	}
	return strings.Join(nodes, ", ")
}

func orNone(path string) string { return cmp.Or(path, "nothing") }

func versions(c deploy.PackageChange) string {
	old, now := list(c.Old), list(c.New)
	switch {
	case len(c.Old) == 0:
		return now
	case len(c.New) == 0:
		return old
	}
	return old + " -> " + now
}

func list(versions []string) string {
	named := slices.DeleteFunc(slices.Clone(versions), func(v string) bool { return v == "" })
	if len(named) == 0 {
		return "(no version)"
	}
	return strings.Join(named, ", ")
}

// Status writes a table of the standing of profiles. If a node is unreachable, only
// its first profile shows why.
func Status(w io.Writer, all []deploy.Status) error {
	table := tabwriter.NewWriter(problem.NewWriter(w), 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NODE\tPROFILE\tSTANDING\tPLANNED\tACTIVE\tDETAIL")
	for i, s := range all {
		active := Short(s.Active)
		if s.Standing == deploy.StandingUnreachable {
			active = "unknown"
			if i > 0 && all[i-1].Node == s.Node {
				s.Detail = ""
			}
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", s.Node, s.Profile, s.Standing, problem.Line(Short(s.Planned)), problem.Line(active), problem.Line(firstLine(s.Detail)))
	}
	return table.Flush()
}
