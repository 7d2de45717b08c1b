// Package generated is the folder in which a provider keeps its state and its
// plan, with what belongs to both: they are read together, a plan of another
// state is refused, and the state is durable before the plan that names its UIDs.
package generated

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
	"github.com/woolwichweb/hostenv-provider/hostenv/state/store"
)

// Default is the folder's name in a provider's root.
const Default = "generated"

// The names of the files in it.
const (
	StateFile  = "state.json"
	PlanFile   = "plan.json"
	ignoreFile = ".gitignore"
)

// A Folder is the generated folder of one run.
type Folder struct {
	*store.Dir
	Written []string // paths of what this run wrote to it, and of what it wrote elsewhere

	found bool // by Find, and not named by a person
}

// Open returns the folder at a path, which need not exist.
func Open(path string) *Folder { return &Folder{Dir: store.Open(path)} }

// File returns the path of a file in the folder.
func (f *Folder) File(name string) string { return filepath.Join(f.Path(), name) }

// Hidden returns the path of a file that git does not see: locks, journals, logs.
func (f *Folder) Hidden(name string) string { return filepath.Join(f.Path(), ".hostenv", name) }

// patience is how long a run waits for the folder's lock. It is short: if Nix
// keeps another run busy for minutes, the operator should learn of it.
const patience = 2 * time.Second

// Locked calls do while it holds the lock.
func (f *Folder) Locked(ctx context.Context, do func() error) error {
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	unlock, err := f.Lock(waiting)
	if err != nil {
		return err
	}
	err = do()
	if unlocking := unlock(); unlocking != nil {
		return errors.Join(err, unlocking)
	}
	return err
}

// Exists refuses a folder without a state. Call it before a lock, which would
// make the folder and a file in it.
func (f *Folder) Exists(ctx context.Context) error {
	_, err := os.Stat(f.File(StateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return f.stateless(ctx)
	}
	return nil // State reports any other error with more detail
}

func (f *Folder) stateless(ctx context.Context) error {
	out := "" // state:init makes it in the same folder alone
	if !f.found {
		out = " -out=" + problem.Word(f.Path())
	}
	restore := f.restore(ctx, StateFile, isState)
	if restore == "" {
		restore = "git checkout -- " + problem.Word(f.File(StateFile))
	}
	return problem.New("", fmt.Sprintf("there is no %s", f.File(StateFile)),
		"restore it ("+restore+"); for a provider that never planned anything, run `mage state:init"+out+"`")
}

// State returns the state, and the text that it was read from.
func (f *Folder) State(ctx context.Context) (state.State, []byte, error) {
	if err := f.refuseUnmerged(ctx); err != nil {
		return state.State{}, nil, err
	}
	text, err := f.Read(StateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return state.State{}, nil, f.stateless(ctx)
	}
	if err != nil {
		return state.State{}, nil, err
	}
	s, err := state.Decode(text)
	if err != nil {
		return state.State{}, nil, f.Damaged(ctx, StateFile, err)
	}
	return s, text, nil
}

// Damaged returns the error of a state or plan whose text cannot be read. If the text
// is no JSON, and git has an earlier one that is, the hint says how to restore it.
func (f *Folder) Damaged(ctx context.Context, name string, err error) error {
	valid := isState
	if name == PlanFile {
		valid = isPlan
	}
	if syntax := (*canonjson.SyntaxError)(nil); errors.As(err, &syntax) {
		if command := f.restore(ctx, name, valid); command != "" {
			err = problem.WithHint(err, "restore it ("+command+"), and run `mage plan`")
		}
	}
	return problem.In(f.File(name), err)
}

func isState(text []byte) bool { _, err := state.Decode(text); return err == nil }

func isPlan(text []byte) bool { _, err := plan.DecodeDocument(text); return err == nil }

// Plan returns the plan that was made from a state, and the text that it was
// read from. A plan of another state is a [plan.StaleError].
func (f *Folder) Plan(ctx context.Context, s state.State) (document plan.Document, text []byte, err error) {
	text, err = f.ReadIfThere(PlanFile)
	switch {
	case err != nil:
		return document, nil, err
	case text == nil:
		return document, nil, problem.New("", "there is no "+f.File(PlanFile), "run `mage plan`")
	}
	if err := plan.CheckFresh(text, s); err != nil {
		return document, nil, f.Damaged(ctx, PlanFile, err)
	}
	if document, err = plan.DecodeDocument(text); err != nil {
		return document, nil, f.Damaged(ctx, PlanFile, err)
	}
	return document, text, nil
}

// ReadIfThere returns the text of a file, nil if there is none.
func (f *Folder) ReadIfThere(name string) ([]byte, error) {
	text, err := f.Read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

// A File is one file of the folder. Before is nil if it did not exist.
type File struct {
	Name          string
	Before, After []byte
}

// Changed reports whether the file did not exist or held something else.
func (f File) Changed() bool { return f.Before == nil || !bytes.Equal(f.Before, f.After) }

// ignored is what git does not see in the folder: the lock, the folder of locks,
// journals and logs, and what a killed run left.
const ignored = ".hostenv.lock\n.hostenv/\n.*.tmp\n"

// Save writes files in their order, because a state must be durable before the plan
// that names its UIDs, and makes them known to git. Once it has begun, it does not
// stop when ctx ends.
func (f *Folder) Save(ctx context.Context, files ...File) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ignore, err := f.ReadIfThere(ignoreFile)
	if err != nil {
		return err
	}
	if ignore == nil {
		files = append([]File{{ignoreFile, nil, []byte(ignored)}}, files...)
	}
	names := make([]string, len(files))
	for i, file := range files {
		names[i] = file.Name
		wrote, err := f.Write(file.Name, file.After)
		if err != nil {
			return err
		}
		if wrote {
			f.Written = append(f.Written, f.File(file.Name))
		}
	}
	return addToGit(context.WithoutCancel(ctx), f.Path(), names...)
}
