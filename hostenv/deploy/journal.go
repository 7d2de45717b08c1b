package deploy

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Journal is the append-only record of a run: <id>.jsonl in the folder of
// runs, an event a line. An event is on the disk when Append returns.
type Journal struct {
	ID  string
	Dir string // of this run: logs, roots, exit statuses

	mu     sync.Mutex
	file   *os.File
	events []Event
	seen   func(Event)
}

// CreateJournal begins a new one in the folder of runs, which it makes if need
// be, with these events. seen, if any, is called with each event once it is
// durable.
func CreateJournal(runs string, now time.Time, seen func(Event), first ...Event) (*Journal, error) {
	if err := os.MkdirAll(runs, 0o777); err != nil {
		return nil, err
	}
	id, err := newID(runs, now)
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(runs, id+".jsonl"), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o666)
	if err != nil {
		return nil, err
	}
	j := &Journal{ID: id, Dir: filepath.Join(runs, id), file: file, seen: seen}
	if err := os.MkdirAll(j.Dir, 0o777); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if err := syncDir(runs); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if err := j.Append(append([]Event{{Type: TypeVersion, Events: EventsVersion}}, first...)...); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return j, nil
}

// newID names a run by the time, so that the newest comes last: also where two
// begin in one second, or where the clock was put back.
func newID(runs string, now time.Time) (string, error) {
	const layout = "20060102T150405.000000Z"
	ids, err := Runs(runs)
	if err != nil {
		return "", err
	}
	at := now.UTC().Truncate(time.Microsecond)
	if len(ids) > 0 {
		last, _, _ := strings.Cut(ids[len(ids)-1], "-")
		if newest, err := time.Parse(layout, last); err == nil && !at.After(newest) {
			at = newest.Add(time.Microsecond)
		}
	}
	random := make([]byte, 3)
	_, _ = rand.Read(random) // never fails
	return at.Format(layout) + "-" + hex.EncodeToString(random), nil
}

// NewStory is a journal that is kept nowhere, for runs that change nothing.
func NewStory(seen func(Event)) *Journal {
	j := &Journal{seen: seen}
	_ = j.Append(Event{Type: TypeVersion, Events: EventsVersion}) // there is no file to fail
	return j
}

// OpenJournal takes up one that a run before left. What it has of a line that
// was never finished is cut off: whoever wrote it never went on from there.
func OpenJournal(runs, id string, seen func(Event)) (*Journal, error) {
	path := filepath.Join(runs, id+".jsonl")
	events, whole, err := readJournal(path)
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(file.Truncate(whole), file.Sync()); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	dir := filepath.Join(runs, id)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	j := &Journal{ID: id, Dir: dir, file: file, events: events, seen: seen}
	if len(events) == 0 {
		err = j.Append(Event{Type: TypeVersion, Events: EventsVersion})
	}
	return j, err
}

// Append writes events down, in their order, before it returns.
func (j *Journal) Append(events ...Event) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var lines bytes.Buffer
	now := time.Now().UTC().Format(time.RFC3339Nano)
	for i := range events {
		if events[i].Type != TypeVersion {
			events[i].Time, events[i].Run = now, j.ID
		}
		lines.Write(events[i].Encode())
	}
	if j.file != nil {
		if _, err := j.file.Write(lines.Bytes()); err != nil {
			return fmt.Errorf("write the journal of the run: %w", err)
		}
		if err := j.file.Sync(); err != nil {
			return fmt.Errorf("write the journal of the run: %w", err)
		}
	}
	j.events = append(j.events, events...)
	if j.seen != nil {
		for _, e := range events {
			j.seen(e)
		}
	}
	return nil
}

// Events returns all that were written.
func (j *Journal) Events() []Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.events)
}

// Close closes the file.
func (j *Journal) Close() error {
	if j.file == nil {
		return nil
	}
	return j.file.Close()
}

// ReadJournal returns the events of a run, without a line that was never
// finished.
func ReadJournal(runs, id string) ([]Event, error) {
	events, _, err := readJournal(filepath.Join(runs, id+".jsonl"))
	return events, err
}

// readJournal also returns how many bytes hold whole events.
func readJournal(path string) (events []Event, whole int64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	text, err := io.ReadAll(file)
	if err != nil {
		return nil, 0, err
	}
	for n := 1; ; n++ {
		line, rest, finished := bytes.Cut(text, []byte("\n"))
		if !finished {
			break
		}
		e, err := DecodeEvent(line)
		if err != nil {
			return nil, 0, &JournalError{Path: path, Line: n, Err: err}
		}
		if n == 1 {
			major, _, _ := strings.Cut(e.Events, ".")
			ours, _, _ := strings.Cut(EventsVersion, ".")
			if e.Type != TypeVersion || major != ours {
				return nil, 0, &JournalError{Path: path, Line: 1, Err: fmt.Errorf("it is of version %q, and this program reads %s", e.Events, EventsVersion)}
			}
		}
		events = append(events, e)
		whole += int64(len(line)) + 1
		text = rest
	}
	return events, whole, nil
}

// A JournalError says that a journal cannot be read.
type JournalError struct {
	Path string
	Line int
	Err  error
}

func (e *JournalError) Error() string { return fmt.Sprintf("%s, line %d: %v", e.Path, e.Line, e.Err) }
func (e *JournalError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *JournalError) Hint() string {
	return "move the file away: the next run asks the nodes what they have, and only what was interrupted in the middle of an activation is then activated once more"
}

// Runs returns the ids of the runs in a folder, the newest last.
func Runs(runs string) ([]string, error) {
	entries, err := os.ReadDir(runs)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var ids []string
	for _, entry := range entries {
		if id, ok := strings.CutSuffix(entry.Name(), ".jsonl"); ok && entry.Type().IsRegular() {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, err
}

// keptRuns is how many runs are kept, with their logs.
const keptRuns = 50

// PruneRuns removes all but the newest runs, with their logs and roots; one that
// left something undecided stays. Call it under the lock of runs.
func PruneRuns(runs string) error {
	ids, err := Runs(runs)
	if err != nil {
		return err
	}
	for _, id := range ids[:max(len(ids)-keptRuns, 0)] {
		events, err := ReadJournal(runs, id)
		if err != nil || slices.ContainsFunc(OutcomeOf(events).Profiles, func(p ProfileOutcome) bool { return p.Doubt != nil }) {
			continue // what cannot be read is somebody's to look at
		}
		// The journal goes last: without it the folder would be nobody's.
		if err := errors.Join(os.RemoveAll(filepath.Join(runs, id)), os.Remove(filepath.Join(runs, id+".jsonl"))); err != nil {
			return err
		}
	}
	return nil
}

// A RunLock is held by the one run of a checkout, and by the processes that it
// leaves behind: who waits for it knows that none of them is at work any more.
type RunLock struct{ File *os.File }

// RunLockedError says that another run of this checkout is at work.
type RunLockedError struct{ Path, Holder string }

func (e *RunLockedError) Error() string {
	if e.Holder == "" {
		return "another deploy is at work here (" + e.Path + " is locked)"
	}
	return "another deploy is at work here: " + e.Holder
}

// Hint says what to do.
func (e *RunLockedError) Hint() string {
	return "wait for it: -lockWait=10m. If it was killed, what it had begun on a node is still being brought to its end; `fuser -v " + e.Path + "` shows by which process"
}

// LockRun takes the lock of a file, and waits for it for so long.
func LockRun(ctx context.Context, path, holder string, wait time.Duration) (*RunLock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o666)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(wait)
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			// What it says is for people: whoever cannot write it is locked all the same.
			_ = file.Truncate(0)
			_, _ = file.WriteAt([]byte(holder+"\n"), 0)
			return &RunLock{file}, nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
		case time.Now().After(deadline):
			said := make([]byte, 512)
			n, _ := file.ReadAt(said, 0)
			return nil, errors.Join(&RunLockedError{Path: path, Holder: strings.TrimSpace(string(said[:n]))}, file.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), file.Close())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Close gives the lock back, but for processes that have it, too.
func (l *RunLock) Close() error { return l.File.Close() }

// syncDir makes a new name in a folder durable.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// ReadDoubts returns what the runs of a folder left undecided, by node/profile.
func ReadDoubts(runs string) (map[string]Doubt, error) {
	ids, err := Runs(runs)
	if err != nil {
		return nil, err
	}
	var outcomes []Outcome
	for _, id := range ids {
		events, err := ReadJournal(runs, id)
		if err != nil {
			return nil, err
		}
		o := OutcomeOf(events)
		o.Run = id
		outcomes = append(outcomes, o)
	}
	return Doubts(outcomes, func(run, node, profile string) *int { return ExitStatus(filepath.Join(runs, run), node, profile) }), nil
}
