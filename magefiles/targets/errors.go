package targets

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/magefile/mage/mg"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state/store"
)

// maxReported is the largest number of errors that one run prints.
const maxReported = 100

// errChanges ends a run with -detailedExitcode that found changes.
var errChanges = errors.New("there are changes")

// outcomeError ends a run whose output says how it went.
type outcomeError struct {
	code int
	text string
}

func (e *outcomeError) Error() string { return e.text }

// fail prints every error that err holds, with its hint, and returns one with the
// exit code for Mage, which reads only the code of the outermost error.
func (f *folder) fail(err error) error {
	if err == nil {
		return nil
	}
	each := leaves(err)
	var ended *outcomeError
	if errors.As(err, &ended) && len(each) == 0 {
		return mg.Fatal(ended.code, err)
	}
	if len(each) == 0 {
		return mg.Fatal(exitChanges, err)
	}
	if err := problem.Write(os.Stderr, each, maxReported); err != nil {
		return mg.Fatal(exitError, err)
	}
	causes := problem.Causes(each)
	outcome := "nothing was written"
	if len(f.Written) > 0 {
		outcome = "stopped after writing " + strings.Join(f.Written, " and ")
	}
	var held *store.HeldError
	var stale *plan.StaleError
	var running *deploy.RunLockedError
	switch {
	case errors.As(err, &running):
		return mg.Fatal(deploy.ExitLocked, "another deploy is at work, ", outcome)
	case errors.As(err, &held):
		return mg.Fatal(exitLocked, "the lock is held, ", outcome)
	case errors.Is(err, dnsgate.ErrWithheld):
		return mg.Fatal(exitWithheld, "the plan stays as it is, ", outcome)
	case errors.As(err, &stale):
		return mg.Fatal(exitStale, "the plan is stale, ", outcome)
	case causes > 1:
		return mg.Fatalf(exitError, "%d problems, %s", causes, outcome)
	default:
		return mg.Fatal(exitError, outcome)
	}
}

// leaves returns the errors that err holds and that fail prints: the end of a
// run with changes is not one of them.
func leaves(err error) []error {
	var all []error
	for _, leaf := range problem.Leaves(err) {
		switch {
		case errors.Is(leaf, errChanges), errors.Is(leaf, errOff), errors.As(leaf, new(*outcomeError)):
		case errors.Is(leaf, context.Canceled):
			all = append(all, errors.New("interrupted"))
		default:
			all = append(all, leaf)
		}
	}
	return all
}
