package nix

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/nix/flakelock"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// lock reads the provider's flake.lock, nil if there is none: Nix reports that.
func (r *Runner) lock() (*flakelock.Lock, error) {
	text, err := os.ReadFile(filepath.Join(r.Dir, "flake.lock"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the provider's flake.lock: %w", err)
	}
	lock, err := flakelock.Parse(text)
	if err != nil {
		return nil, problem.WithHint(problem.In("flake.lock", err), "restore it (git checkout HEAD -- flake.lock), or remove it and run `nix flake lock`")
	}
	return lock, nil
}

// Inputs returns the names of the inputs that the provider's flake.lock has, sorted.
func (r *Runner) Inputs() ([]string, error) {
	lock, err := r.lock()
	if lock == nil || err != nil {
		return nil, err
	}
	return lock.Inputs(), nil
}

// CheckLock refuses a flake.lock in which a customer brings a source that is not
// theirs to bring (see package flakelock). It evaluates nothing. It returns a
// warning, with a hint, if locking still reads flake.nix of customers.
func (r *Runner) CheckLock(ctx context.Context) (warning error, err error) {
	lock, err := r.lock()
	if lock == nil || err != nil || ctx.Err() != nil {
		return nil, errors.Join(err, context.Cause(ctx))
	}
	if err := lock.Check(); err != nil {
		return nil, err
	}
	read := lock.Read(lock.Customers())
	if len(read) == 0 {
		return nil, nil
	}
	var lines []string
	for _, name := range read[:min(len(read), 5)] {
		lines = append(lines, "inputs."+name+".flake = false;")
	}
	hint := "write " + strings.Join(lines, " ") + " in flake.nix"
	if more := len(read) - 5; more > 0 {
		hint += fmt.Sprintf(", and the same for %d more", more)
	}
	return problem.New(strings.Join(slices.Clone(read), ", "),
		"decide what is fetched by `nix flake lock`, which reads their flake.nix", hint+"; then run `"+flakelock.Relock(read...)+"`)"), nil
}
