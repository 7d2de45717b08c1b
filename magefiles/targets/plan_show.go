package targets

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/generated"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/review"
	"github.com/woolwichweb/hostenv-provider/hostenv/review/history"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// The formats of what changes.
const formatText, formatJSON, formatMarkdown = "text", "json", "markdown"

// terminalLines is the largest number of lines that a plan prints on a terminal.
const terminalLines = 40

// showing says how to print what changes.
type showing struct {
	diff   bool
	format string
	limit  int // of Markdown, in bytes; 0 for none
}

// check refuses flags that contradict each other. Json is the flag -json, and limit
// the flag -limit.
func (s *showing) check(json bool, limit *int) error {
	if json && s.format == formatText {
		s.format = formatJSON
	}
	switch {
	case !slices.Contains([]string{formatText, formatJSON, formatMarkdown}, s.format):
		return problem.New("-format", fmt.Sprintf("is %q", s.format), "write text, json or markdown")
	case json && s.format != formatJSON:
		return problem.New("", "-json and -format="+s.format+" exclude each other", "leave one of them out")
	case s.diff && s.format != formatText:
		return problem.New("", "-diff and -format="+s.format+" exclude each other", "leave one of them out")
	case limit != nil && s.format != formatMarkdown:
		return problem.New("-limit", "has no effect without -format=markdown", "add -format=markdown")
	case limit != nil && s.limit < review.MinLimit:
		return problem.New("-limit", fmt.Sprintf("is %d, and the summary alone may take %d bytes", s.limit, review.MinLimit), "write a larger number, such as 65000")
	}
	return nil
}

// reviewOf compares two versions. Text is plan.json as it is written.
func reviewOf(ctx context.Context, before, after review.Version, text []byte) *review.Review {
	r := review.Of(before, after, history.Commits(ctx, review.Pairs(before, after)))
	r.Digest = plan.Digest(text)
	return r
}

// end prints the changes and the files that a run wrote, or would write.
func (r planRun) end(changes *review.Review, warnings []state.Warning, files []generated.File) error {
	again := "`mage plan -since=HEAD | less` shows them"
	if r.dryRun {
		again = "`mage plan -dryRun | less` shows them"
	}
	print := func() error { return r.print(changes, warnings, again) }
	if r.show.format != formatText {
		if err := print(); err != nil {
			return err
		}
	} else if err := r.showFiles(r.dryRun, r.show.diff, print, files...); err != nil {
		return err
	}
	if r.detailed && slices.ContainsFunc(files, generated.File.Changed) {
		return &outcomeError{exitChanges, "there are changes"}
	}
	return nil
}

// print prints the changes. Again says how to see those that a terminal leaves out.
func (r planRun) print(changes *review.Review, warnings []state.Warning, again string) error {
	switch r.show.format {
	case formatJSON:
		_, err := stdoutJSON().Write(changes.Encode(warnings))
		return err
	case formatMarkdown:
		_, err := fmt.Fprint(stdout(), changes.Markdown(r.show.limit))
		return err
	}
	lines := 0
	if terminal(os.Stdout) {
		lines = terminalLines
	}
	_, err := fmt.Fprint(stdout(), changes.Text(lines, again))
	return err
}

// since shows what changed from a commit to the files that are here.
func (r planRun) since(ctx context.Context, commit string) error {
	now, stateText, err := r.State(ctx)
	if err != nil {
		return err
	}
	document, text, err := r.Plan(ctx, now)
	if err != nil {
		return err
	}
	before, files, err := r.versionAt(ctx, commit)
	if err != nil {
		return err
	}
	files[0].After, files[1].After = stateText, text
	if err := tellHeld(document.Held(), maxCauses); err != nil {
		return err
	}
	changes := reviewOf(ctx, before, review.Version{Plan: &document, State: now}, text)
	again := "`mage plan -since=" + problem.Word(commit) + " | less` shows them"
	if r.show.diff {
		for _, file := range files {
			if err := printDiff(r.File(file.Name), file.Before, file.After); err != nil {
				return err
			}
		}
	}
	if err := r.print(changes, nil, again); err != nil {
		return err
	}
	if r.detailed && slices.ContainsFunc(files, generated.File.Changed) {
		return &outcomeError{exitChanges, "there are changes"}
	}
	return nil
}

// versionAt returns the state and the plan of a commit. A commit without a state is
// older than the first plan; a plan that cannot be read is not compared.
func (r planRun) versionAt(ctx context.Context, commit string) (review.Version, []generated.File, error) {
	version := review.Version{State: state.New()}
	files := []generated.File{{Name: stateFile}, {Name: planFile}}
	for i := range files {
		text, err := r.Committed(ctx, commit, files[i].Name)
		if err != nil {
			return version, nil, err
		}
		files[i].Before = text
	}
	if text := files[0].Before; text != nil {
		s, err := state.Decode(text)
		if err != nil {
			return version, nil, problem.In(r.File(stateFile)+" of "+commit, err)
		}
		version.State = s
	}
	if text := files[1].Before; text != nil {
		if document, err := plan.DecodeDocument(text); err == nil {
			version.Plan = &document
		}
	}
	return version, files, nil
}
