package targets

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// maxCauses is how many causes a run prints of each project that is held back.
const maxCauses = 5

// tellHeld prints why projects are held back: first, before the result. Projects for
// the same reasons are printed together, with at most limit causes.
func tellHeld(held []plan.Held, limit int) error {
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
		if _, err := fmt.Fprintf(os.Stderr, "held back: %s: %s", problem.Line(projects(f.projects)), f.text); err != nil {
			return err
		}
	}
	return nil
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

// heldBack returns err, and as the last thing that a run prints, that projects are
// held back. The exit code is that of err, if err is an error or an outcome that is
// worse than a project that is held back.
func heldBack(held []plan.Held, err error) error {
	if len(held) == 0 {
		return err
	}
	if ended := (*outcomeError)(nil); err != nil && (!errors.As(err, &ended) || ended.code != exitChanges) {
		return err
	}
	verb := "are"
	if len(held) == 1 {
		verb = "is"
	}
	return &outcomeError{exitHeld, fmt.Sprintf("%s %s held back", problem.Line(projects(held)), verb)}
}
