package targets

import (
	"errors"
	"os"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/review"
)

// maxCauses is how many causes a run prints of each project that is held back.
const maxCauses = 5

// tellHeld prints why projects are held back: first, before the result.
func tellHeld(held []plan.Held, limit int) error { return review.WriteHeld(os.Stderr, held, limit) }

// tellStays prints which projects of a plan are on hold or held back, and why, and
// returns those that are held back.
func tellStays(d plan.Document) ([]plan.Held, error) {
	held := d.Held()
	return held, errors.Join(review.WriteHolds(os.Stderr, d.Holds()), tellHeld(held, maxCauses))
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
	return &outcomeError{exitHeld, review.HeldLine(held)}
}
