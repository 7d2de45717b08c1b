// Package targets holds the Mage targets of a provider's repository. Import
// them into a magefile of your own:
//
//	//go:build mage
//
//	package main
//
//	//mage:import
//	import _ "github.com/woolwichweb/hostenv-provider/magefiles/targets"
//
// Every exported function here is a target, for Mage takes it for one; what
// they do stands in the packages below hostenv/.
//
// A target ends with 0 when all is well, 1 on an error, 2 where it was asked
// with -detailedExitcode and there are changes, 3 when another run holds the
// lock, 4 when a plan is older than the state.
//
// What was asked for goes to standard output, all else to standard error.
package targets

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/magefile/mage/mg"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
	"github.com/woolwichweb/hostenv-provider/hostenv/state/store"
)

// The names of the files in the generated folder.
const (
	stateFile = "state.json"
	planFile  = "plan.json"
)

// The exit codes.
const (
	exitError   = 1
	exitChanges = 2
	exitLocked  = 3
	exitStale   = 4
)

// lockWait is how long a target waits for another one to end. It is short:
// a run that Nix keeps busy for minutes is better known about than waited for.
const lockWait = 2 * time.Second

// value is what a flag says, or its default.
func value[T any](flag *T, fallback T) T {
	if flag == nil {
		return fallback
	}
	return *flag
}

// folder is the generated folder that -out names.
func folder(out *string) *store.Dir { return store.Open(value(out, "generated")) }

// lock takes the lock of a generated folder for a target that writes.
func lock(ctx context.Context, dir *store.Dir) (unlock func() error, err error) {
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	return dir.Lock(ctx)
}

// readState reads the state of a generated folder.
func readState(dir *store.Dir) (state.State, []byte, error) {
	data, err := dir.Read(stateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return state.State{}, nil, hinted(
			fmt.Errorf("there is no %s", filepath.Join(dir.Path(), stateFile)),
			"restore it (git checkout -- "+filepath.Join(dir.Path(), stateFile)+"); for a provider that never planned anything, run `mage state:init`")
	}
	if err != nil {
		return state.State{}, nil, err
	}
	s, err := state.Decode(data)
	if err != nil {
		return state.State{}, nil, in(filepath.Join(dir.Path(), stateFile), err)
	}
	return s, data, nil
}

// fail prints an error, or every error that it holds, with the hints that
// belong to them, and returns what makes Mage end with the right code.
func fail(err error) error {
	if err == nil {
		return nil
	}
	var exit interface{ ExitStatus() int }
	if errors.As(err, &exit) {
		return err
	}
	each := leaves(err)
	for _, err := range each {
		report(os.Stderr, err)
	}
	var held *store.HeldError
	var stale *plan.StaleError
	switch {
	case errors.As(err, &held):
		return mg.Fatal(exitLocked, "the lock is held, nothing was written")
	case errors.As(err, &stale):
		return mg.Fatal(exitStale, "the plan is stale, nothing was done")
	case len(each) > 1:
		return mg.Fatalf(exitError, "%d problems, nothing was written", len(each))
	default:
		return mg.Fatal(exitError, "nothing was written")
	}
}

// leaves takes a refusal apart into its errors, keeping what was said around
// it.
func leaves(err error) []error {
	var refused *state.Refused
	if !errors.As(err, &refused) {
		return []error{err}
	}
	var where *placed
	errs := make([]error, len(refused.Errors))
	for i, leaf := range refused.Errors {
		errs[i] = leaf
		if errors.As(err, &where) {
			errs[i] = in(where.path, leaf)
		}
	}
	return errs
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
