package targets

import (
	"cmp"
	"errors"
	"os"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
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
	return leftBehind(review.HeldLine(held), err)
}

// tellWithheld prints the organisations whose certificates the gate leaves as they are,
// and why: first, before the result.
func tellWithheld(withheld []dnsgate.Withheld) error {
	var reasons []error
	for _, w := range withheld {
		reasons = append(reasons, w.Reason)
	}
	return problem.Write(os.Stderr, reasons, maxReported)
}

// withheldOrHeldBack is heldBack, for organisations whose certificates stay as well.
func withheldOrHeldBack(held []plan.Held, withheld []dnsgate.Withheld, err error) error {
	if len(withheld) == 0 {
		return heldBack(held, err)
	}
	var names []string
	for _, w := range withheld {
		names = append(names, cmp.Or(w.Organisation, "no organisation"))
	}
	text := "the certificates of " + problem.Line(problem.Join(names)) + " stay as they are"
	if len(held) > 0 {
		text = review.HeldLine(held) + ", and " + text
	}
	return leftBehind(text, err)
}

// leftBehind returns the end of a run that left something as it was, unless err is worse.
func leftBehind(text string, err error) error {
	if ended := (*outcomeError)(nil); err != nil && (!errors.As(err, &ended) || ended.code != exitChanges) {
		return err
	}
	return &outcomeError{exitHeld, text}
}
