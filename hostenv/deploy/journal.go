package deploy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// A Journal is the append-only record of a run: the file <id>.jsonl in the folder
// of runs, with one event on each line. An event is on the disk when Append returns.
type Journal struct {
	ID  string
	Dir string // of this run: logs, roots, exit statuses

	mu     sync.Mutex
	file   *os.File
	events []Event
	seen   func(Event)
	broken error // the first failure to write
}

// CreateJournal begins a new journal with these events. It makes the folder of
// runs if it does not exist. It calls seen, which may be nil, with each event once
// that is on the disk.
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

// NewMemoryJournal returns a journal without a file, for runs that change nothing.
func NewMemoryJournal(seen func(Event)) *Journal {
	j := &Journal{seen: seen}
	_ = j.Append(Event{Type: TypeVersion, Events: EventsVersion}) // there is no file to fail
	return j
}

// OpenJournal opens the journal of an earlier run to continue it. It removes an
// unfinished last line: the process that wrote it did nothing afterwards.
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

// Append writes events to the disk, in order, before it returns. Once a write has
// failed, every later call fails: if a full disk cuts off a line, a line after it
// would make the journal unreadable.
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
	if j.file != nil && j.broken == nil {
		_, err := j.file.Write(lines.Bytes())
		if err == nil {
			err = j.file.Sync()
		}
		if err != nil {
			j.broken = fmt.Errorf("write the journal of the run: %w", err)
		}
	}
	if j.broken != nil {
		return j.broken
	}
	j.events = append(j.events, events...)
	if j.seen != nil {
		for _, e := range events {
			j.seen(e)
		}
	}
	return nil
}

// Events returns all events of the journal.
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

// ReadJournal returns the events of a run. It ignores an unfinished last line.
func ReadJournal(runs, id string) ([]Event, error) {
	events, _, err := readJournal(filepath.Join(runs, id+".jsonl"))
	return events, err
}

// readJournal also returns the length of the finished lines in bytes.
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
			return nil, 0, journalError(path, n, err)
		}
		if n == 1 {
			major, _, _ := strings.Cut(e.Events, ".")
			ours, _, _ := strings.Cut(EventsVersion, ".")
			if e.Type != TypeVersion || major != ours {
				return nil, 0, journalError(path, 1, fmt.Errorf("its version is %q, but this program reads %s", e.Events, EventsVersion))
			}
		}
		events = append(events, e)
		whole += int64(len(line)) + 1
		text = rest
	}
	return events, whole, nil
}

// journalError is the error of a journal that cannot be read.
func journalError(path string, line int, err error) error {
	return problem.WithHint(fmt.Errorf("%s, line %d: %w", path, line, err),
		"move the file away: the next run asks the nodes what they have, and activates again only the profiles whose activation was interrupted")
}

// syncDir flushes a folder to the disk, so that a new file name in it is durable.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
