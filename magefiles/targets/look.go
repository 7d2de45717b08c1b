package targets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/drive"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/remote"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/report"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// A lookRun looks at nodes, and prints text or lines of JSON.
type lookRun struct {
	*folder
	selection deploy.Selection
	json      bool
	anew      bool // evaluate everything anew
	tls       bool // ask which certificates nodes serve
}

// look reads the plan, selects nodes and calls do with a way to them.
func (r *lookRun) look(ctx context.Context, do func(context.Context, *drive.Plan, []deploy.Node, *remote.Config) error) error {
	p, err := drive.Read(ctx, r.Folder)
	if err != nil {
		return err
	}
	selected, err := r.selection.Of(p.Nodes)
	if err != nil {
		return err
	}
	config, err := remote.Write(ctx, "", selected)
	if err != nil {
		return err
	}
	return errors.Join(do(ctx, p, selected, config), config.Close())
}

// printAll prints values as JSON, one a line, or by the function for people.
func printAll[T any](r *lookRun, all []T, text func(io.Writer, []T) error) error {
	if !r.json {
		return text(os.Stdout, all)
	}
	encoder := json.NewEncoder(stdoutJSON())
	encoder.SetEscapeHTML(false)
	for _, v := range all {
		if err := encoder.Encode(v); err != nil {
			return err
		}
	}
	return nil
}

func showEvent(e deploy.Event) { fmt.Fprintln(stderr(), report.Line(e)) }

// reported reports whether a status is about a node whose error is in wrong.
func reported(s deploy.Status, wrong error) bool {
	return s.Standing == deploy.StandingUnreachable && slices.ContainsFunc(problem.Leaves(wrong), func(err error) bool { return err.Error() == s.Detail })
}

// sayOnce returns statuses that refer to the errors below them: an error is
// printed in one place, with its hint.
func sayOnce(all []deploy.Status, wrong error) []deploy.Status {
	all = slices.Clone(all)
	for i := range all {
		if reported(all[i], wrong) {
			all[i].Detail = "see the error below"
		}
	}
	return all
}
