package review

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// heldValues returns projects that are held back as JSON values.
func heldValues(held []plan.Held) []any {
	type reason struct {
		Message string `json:"message"`
		Hint    string `json:"hint,omitzero"`
	}
	type value struct {
		Project string   `json:"project"`
		Reasons []reason `json:"reasons"`
		Keeps   []string `json:"keeps"`
	}
	all := make([]any, len(held))
	for i, h := range held {
		v := value{Project: h.Project, Reasons: []reason{}, Keeps: append([]string{}, h.Keeps...)}
		for _, err := range problem.Leaves(h.Reason) {
			v.Reasons = append(v.Reasons, reason{err.Error(), problem.Hint(err)})
		}
		all[i] = v
	}
	return all
}

// WriteHeld writes why projects are held back, for a terminal. Projects for the same
// reasons are written together, with at most limit causes each.
func WriteHeld(w io.Writer, held []plan.Held, limit int) error {
	type fold struct {
		projects []plan.Held
		text     string
	}
	var folds []*fold
	byText := map[string]*fold{}
	for _, h := range held {
		var reasons bytes.Buffer
		if err := problem.Write(&reasons, problem.Leaves(h.Reason), limit); err != nil {
			return err
		}
		text := standing(h) + "\n"
		for line := range strings.Lines(reasons.String()) {
			text += "  " + line
		}
		f := byText[text]
		if f == nil {
			f = &fold{text: text}
			byText[text] = f
			folds = append(folds, f)
		}
		f.projects = append(f.projects, h)
	}
	for _, f := range folds {
		if _, err := fmt.Fprintf(w, "held back: %s: %s", problem.Line(projects(f.projects)), f.text); err != nil {
			return err
		}
	}
	return nil
}

// WriteHolds writes which projects are on hold, and why, for a terminal.
func WriteHolds(w io.Writer, holds []plan.Hold) error {
	for _, line := range holdLines(holds) {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

func holdLines(holds []plan.Hold) []string {
	var lines []string
	for i, h := range holds {
		if i == maxHolds {
			return append(lines, fmt.Sprintf("and %d more on hold", len(holds)-i))
		}
		lines = append(lines, "on hold: "+problem.Line(cutTo(h.Project, maxProject)+": "+h.Reason))
	}
	return lines
}

// standing returns what the plan has of a project.
func standing(h plan.Held) string {
	if len(h.Keeps) == 0 {
		return "no plan has it yet"
	}
	return "stays as in the last plan"
}

// maxProjects is how many projects a line names.
const maxProjects = 8

// projects lists projects, which are sorted and so grouped by customer.
func projects(held []plan.Held) string {
	names := make([]string, 0, maxProjects+1)
	for i, h := range held {
		if i == maxProjects {
			names = append(names, fmt.Sprintf("%d more", len(held)-i))
			break
		}
		names = append(names, h.Project)
	}
	return problem.Join(names)
}

// HeldLine returns that projects are held back, as a run says last.
func HeldLine(held []plan.Held) string {
	verb := "are"
	if len(held) == 1 {
		verb = "is"
	}
	return fmt.Sprintf("%s %s held back", problem.Line(projects(held)), verb)
}
