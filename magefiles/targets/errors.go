package targets

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/magefile/mage/mg"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/state/store"
)

// maxReported is how many errors are shown: of an input that is all wrong,
// nobody reads a hundred thousand.
const maxReported = 100

// errChanges ends a run that was asked with -detailedExitcode.
var errChanges = errors.New("there are changes")

// fail prints an error, or every error that it holds, with the hints that
// belong to them, and returns what makes Mage end with the right code: Mage
// looks for it in the outermost error alone.
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
	for _, err := range each[:min(len(each), maxReported)] {
		printError(os.Stderr, err)
	}
	if more := len(each) - maxReported; more > 0 {
		fmt.Fprintf(os.Stderr, "error: and %d more\n", more)
	}
	outcome := "nothing was written"
	if len(f.written) > 0 {
		outcome = "stopped after writing " + strings.Join(f.written, " and ")
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
	case len(each) > 1:
		return mg.Fatalf(exitError, "%d problems, %s", len(each), outcome)
	default:
		return mg.Fatal(exitError, outcome)
	}
}

// leaves takes an error apart into those that it holds, each with the file
// that it is about. That there are changes is none.
func leaves(err error) []error {
	var all []error
	switch e := err.(type) { //nolint:errorlint // one layer at a time, for what wraps an error is kept around it
	case *placed:
		for _, leaf := range leaves(e.err) {
			all = append(all, in(e.path, leaf))
		}
		return all
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			all = append(all, leaves(inner)...)
		}
		return all
	}
	switch {
	case errors.Is(err, errChanges), errors.Is(err, errOff), errors.As(err, new(*outcomeError)):
		return nil
	case errors.Is(err, context.Canceled):
		return []error{errors.New("interrupted")}
	}
	return []error{err}
}

// placed is an error in a file.
type placed struct {
	path string
	err  error
}

func in(path string, err error) error { return &placed{path, err} }

func (p *placed) Error() string { return p.path + ": " + p.err.Error() }
func (p *placed) Unwrap() error { return p.err }

// withHint is an error that this package itself makes.
type withHint struct {
	error
	hint string
}

func hinted(err error, hint string) error { return &withHint{err, hint} }

func (w *withHint) Hint() string  { return w.hint }
func (w *withHint) Unwrap() error { return w.error }
