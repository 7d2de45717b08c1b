package targets

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/magefile/mage/mg"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state/store"
)

// maxReported is the largest number of errors that one run prints.
const maxReported = 100

// outcomeError ends a run whose output says how it went, with an exit code.
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
	if len(each) == 0 && errors.As(err, &ended) {
		return mg.Fatal(ended.code, ended)
	}
	if err := problem.Write(os.Stderr, each, maxReported); err != nil {
		return mg.Fatal(exitError, err)
	}
	code, what := exitError, ""
	switch {
	case errors.As(err, new(*deploy.RunLockedError)):
		code, what = deploy.ExitLocked, "another deploy is running"
	case errors.As(err, new(*store.HeldError)):
		code, what = exitLocked, "the lock is held"
	case errors.Is(err, dnsgate.ErrWithheld):
		code, what = exitWithheld, "the plan stays as it is"
	case errors.As(err, new(*plan.StaleError)):
		code, what = exitStale, "the plan is stale"
	}
	var last []string
	if n := problem.Causes(each); what != "" {
		last = append(last, what)
	} else if n > 1 {
		last = append(last, fmt.Sprintf("%d problems", n))
	} else if !f.writes {
		last = append(last, "1 problem")
	}
	if len(f.Written) > 0 {
		last = append(last, "stopped after writing "+strings.Join(f.Written, " and "))
	} else if f.writes {
		last = append(last, "nothing was written")
	}
	return mg.Fatal(code, strings.Join(last, ", "))
}

// leaves returns the errors that err holds and that fail prints: the end of a
// run with changes is not one of them.
func leaves(err error) []error {
	var all []error
	for _, leaf := range problem.Leaves(err) {
		switch {
		case errors.As(leaf, new(*outcomeError)):
		case errors.Is(leaf, context.Canceled):
			all = append(all, errors.New("interrupted"))
		case errors.Is(leaf, syscall.ENOSPC), errors.Is(leaf, syscall.EDQUOT):
			all = append(all, problem.WithHint(leaf, "make room on this machine, and run the command again: `df -h` shows which disk is full"))
		default:
			all = append(all, leaf)
		}
	}
	return all
}
