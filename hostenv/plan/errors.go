package plan

import "fmt"

// A StaleError reports that a plan was made from another state than the current
// one.
type StaleError struct{ Plan, State string } // digests

func (e *StaleError) Error() string {
	switch e.Plan {
	case mergedDigest:
		return "the plan was merged from those of two branches"
	case "":
		return "the plan does not name the state that it was made from"
	}
	return fmt.Sprintf("the plan was made from the state %.12s, and the state is now %.12s", e.Plan, e.State)
}

// Hint returns the fix.
func (e *StaleError) Hint() string { return "run `mage plan`, and review and commit what it changes" }
