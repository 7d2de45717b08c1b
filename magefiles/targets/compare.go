package targets

import (
	"context"
	"fmt"
	"math"
	"os"
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan/parity"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// compare prints how a new plan would differ from an older one, and how the new
// state would differ from the present one. It writes no file and takes no lock.
func (r planRun) compare(ctx context.Context, older string) error {
	report, held, err := r.differences(ctx, older)
	if err != nil {
		return err
	}
	text := []byte(problem.Visible(report.Text()))
	if r.show.format == formatJSON {
		text = report.Encode()
	}
	if _, err := os.Stdout.Write(text); err != nil {
		return err
	}
	if r.detailed && len(report.Unexpected()) > 0 {
		return &outcomeError{exitChanges, "there are unexpected differences"}
	}
	return heldBack(held, nil)
}

func (r planRun) differences(ctx context.Context, older string) (parity.Report, []plan.Held, error) {
	none := parity.Report{}
	const another = "name a plan.json that was made earlier: git show COMMIT:generated/plan.json > old-plan.json"
	text, err := os.ReadFile(older)
	if err != nil {
		return none, nil, problem.WithHint(err, another)
	}
	prior, oldState, err := r.State(ctx)
	if err != nil {
		return none, nil, err
	}
	if ours, err := plan.DecodeDocument(text); err == nil {
		ours.Serial = plan.Serial{} // it numbers the plans, and is no part of what they plan
		text = ours.Encode()
	}
	before, err := parity.DecodeDocuments(text, oldState)
	if err != nil {
		// The hint for the provider's own plan does not fit: this file is most often
		// the wrong one, or was truncated by the shell.
		return none, nil, problem.WithHint(problem.In(older, err), another)
	}
	last, err := r.lastPlan(ctx)
	if err != nil {
		return none, nil, err
	}
	result, inv, err := r.compute(ctx, prior, last)
	if err != nil {
		return none, nil, deliberate(err)
	}
	after, err := parity.DecodeDocuments(last.carry(result.Plan).Encode(), result.State.Encode())
	if err != nil {
		return none, nil, err
	}
	after.DeployPublicKeys = inv.Provider.DeployPublicKeys
	report := parity.Compare(before, after)
	report.Opened = inv.Opened()
	return report, result.Held, nil
}

// tell prints why projects are held back. A comparison prints every cause: a project
// that the legacy generator planned is to be mended before the change-over.
func (r planRun) tell(held []plan.Held) error {
	if !r.compares {
		return tellHeld(held, maxCauses)
	}
	explained := slices.Clone(held)
	for i, h := range held {
		explained[i].Reason = deliberate(h.Reason)
	}
	return tellHeld(explained, math.MaxInt)
}

// deliberate adds the reason to the hint of each refusal that the legacy generator
// did not make: the older plan exists, so that generator did not refuse.
func deliberate(err error) error {
	var noted problem.List
	for _, err := range problem.Leaves(err) {
		for _, row := range parity.Rows() {
			if hint := problem.Hint(err); hint != "" && row.Refuses(err.Error()) {
				err = problem.WithHint(err, fmt.Sprintf("%s\nit is refused on purpose (%s): formerly %s; now %s", hint, row.ID, row.Today, row.Now))
				break
			}
		}
		noted.Add(err)
	}
	return noted.Err()
}
