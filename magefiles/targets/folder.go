package targets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/woolwichweb/hostenv-provider/hostenv/state"
	"github.com/woolwichweb/hostenv-provider/hostenv/state/store"
)

// A folder is the generated folder of a run.
type folder struct {
	*store.Dir
	written []string // paths of what this run wrote to it, and what it wrote elsewhere
}

const generatedFolder = "generated"

// generated is the folder that -out names.
func generated(out *string) *folder {
	return &folder{Dir: store.Open(value(out, generatedFolder))}
}

func (f *folder) path(name string) string { return filepath.Join(f.Path(), name) }

// locked calls do while it holds the lock.
func (f *folder) locked(ctx context.Context, do func() error) error {
	waiting, cancel := context.WithTimeout(ctx, lockWait)
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

// planned refuses a folder without a state before the lock makes a file in it,
// or makes the folder itself where somebody stands in the wrong one.
func (f *folder) planned() error {
	_, err := os.Stat(f.path(stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return f.missing()
	}
	return nil // of any other error, reading the file tells more
}

func (f *folder) missing() error {
	out := "" // state:init makes it in the same folder alone
	if f.Path() != generatedFolder {
		out = " -out=" + f.Path()
	}
	return hinted(fmt.Errorf("there is no %s", f.path(stateFile)),
		"restore it (git checkout -- "+f.path(stateFile)+"); for a provider that never planned anything, run `mage state:init"+out+"`")
}

// readState returns the state, and the text that it was read from.
func (f *folder) readState() (state.State, []byte, error) {
	text, err := f.Read(stateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return state.State{}, nil, f.missing()
	}
	if err != nil {
		return state.State{}, nil, err
	}
	s, err := state.Decode(text)
	if err != nil {
		return state.State{}, nil, in(f.path(stateFile), err)
	}
	return s, text, nil
}

// readIfThere returns the text of a file, nil if there is none.
func (f *folder) readIfThere(name string) ([]byte, error) {
	text, err := f.Read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

// A file is one generated file; before is nil where there was none.
type file struct {
	name          string
	before, after []byte
}

func (f file) changed() bool { return f.before == nil || !bytes.Equal(f.before, f.after) }

// ignored is what git is to leave alone in a generated folder: the lock, the
// folder of locks, journals and logs, and what a killed run left.
const ignored = ".hostenv.lock\n.hostenv/\n.*.tmp\n"

// write writes files in their order, for a state must be durable before the
// plan that names its UIDs, and makes all of them known to git. Once it has
// begun it goes on to its end, whatever becomes of ctx.
func (f *folder) write(ctx context.Context, files ...file) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ignore, err := f.readIfThere(ignoreFile)
	if err != nil {
		return err
	}
	if ignore == nil {
		files = append([]file{{ignoreFile, nil, []byte(ignored)}}, files...)
	}
	names := make([]string, len(files))
	for i, file := range files {
		names[i] = file.name
		wrote, err := f.Write(file.name, file.after)
		if err != nil {
			return err
		}
		if wrote {
			f.written = append(f.written, f.path(file.name))
		}
	}
	return addToGit(context.WithoutCancel(ctx), f.Path(), names...)
}
