package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// lockName is the file that carries the flock. It is a file of its own because
// the others are replaced by renames, and a lock goes with the inode.
const lockName = ".hostenv.lock"

// pollEvery is the time between two tries for a held lock. A blocking flock
// could not be given up when the context ends.
const pollEvery = 20 * time.Millisecond

// ErrNotLocked is the error of a write that does not hold the folder's lock.
// It is a mistake of the program, unless somebody deleted the lock file.
var ErrNotLocked = errors.New("the folder is not locked")

// errLost is the ErrNotLocked that is nobody's mistake but an operator's.
var errLost = fmt.Errorf("%w any more: %s was deleted or replaced meanwhile", ErrNotLocked, lockName)

// HeldError is the error of a Lock whose context ended while another had the
// lock. It wraps the context's error.
type HeldError struct {
	Path   string // the lock file
	Holder Holder // who has the lock; the zero Holder if that is not known

	cause error
}

// Error says who holds the lock since when.
func (e *HeldError) Error() string {
	return fmt.Sprintf("lock %s: held by %s", e.Path, e.Holder)
}

// Hint says how to find the holder and what to wait for.
func (e *HeldError) Hint() string {
	const free = "the lock is free as soon as that process ends, and deleting the file does not free it"
	here, _ := os.Hostname()
	switch {
	case e.Holder.PID == 0:
		return fmt.Sprintf("find the process with `fuser -v %s` and wait for it to finish; %s", e.Path, free)
	case e.Holder.Host != here:
		return fmt.Sprintf("wait for it to finish, or look on %s with `ps -fp %d`; %s", printable(e.Holder.Host), e.Holder.PID, free)
	default:
		return fmt.Sprintf("wait for it to finish, or look with `ps -fp %d`; %s", e.Holder.PID, free)
	}
}

// Unwrap returns the error of the context that ended the wait.
func (e *HeldError) Unwrap() error {
	return e.cause
}

// Lock makes the caller the folder's only writer, among the goroutines of this
// process as among all processes. It creates the folder if it is missing, and
// removes what dead writers left in it. While another holds the lock it waits
// until ctx is done, and then returns a [*HeldError]; a ctx that is done from
// the start locks nothing. The lock is not reentrant.
//
// unlock gives the lock back, after a running write has ended. Calling it again
// does nothing. A process that ends without calling it gives the lock back too.
func (d *Dir) Lock(ctx context.Context) (unlock func() error, err error) {
	path := filepath.Join(d.path, lockName)
	if err := ctx.Err(); err != nil {
		return nil, fail("lock", path, err)
	}
	if err := makeDir(d.path); err != nil {
		return nil, err
	}

	// O_RDWR, for an NFS server grants an exclusive lock to nothing less.
	// O_NOFOLLOW, for the content is overwritten and a link might lead anywhere.
	// The package os adds O_CLOEXEC. Every call has a Flock of its own, since
	// one that is locked already says yes to everybody who asks.
	fl := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW), flock.SetPermissions(0o666))
	for {
		ok, err := tryLock(fl)
		if err != nil {
			return nil, fail("lock", path, err)
		}
		if ok {
			break
		}
		select {
		case <-ctx.Done():
			return nil, &HeldError{Path: path, Holder: readHolder(path), cause: ctx.Err()}
		case <-time.After(pollEvery):
		}
	}

	writeHolder(path)
	if err := sweep(d.path); err != nil {
		clearHolder(path)
		return nil, errors.Join(err, fl.Unlock())
	}

	d.mu.Lock()
	d.held = fl
	d.mu.Unlock()
	return sync.OnceValue(func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		// Whoever locks next is nameless until it has written its own name,
		// rather than mistaken for this process.
		if d.stillHeld() == nil {
			clearHolder(path)
		}
		d.held = nil
		handover.Lock()
		defer handover.Unlock()
		if err := fl.Unlock(); err != nil {
			return fail("unlock", path, err)
		}
		return nil
	}), nil
}

// handover is held while a flock is taken or given back. The kernel orders that
// between goroutines as well, but the Go memory model knows nothing of it: only
// so does what one wrote before its unlock happen before the next one's Lock.
var handover sync.Mutex

// tryLock locks the file that fl's path leads to, if no one else has it locked.
// A lock on a file that was deleted or replaced since it was opened excludes
// nobody, and is given back.
func tryLock(fl *flock.Flock) (bool, error) {
	handover.Lock()
	defer handover.Unlock()
	ok, err := fl.TryLock()
	if !ok || err != nil || linked(fl) {
		return ok, err
	}
	return false, fl.Unlock()
}

// linked reports whether the locked file of fl is still the one at its path.
func linked(fl *flock.Flock) bool {
	locked, err := fl.Stat()
	if err != nil {
		return false
	}
	now, err := os.Lstat(fl.Path())
	return err == nil && os.SameFile(locked, now)
}

// stillHeld returns nil if d holds the lock, and holds the lock that others
// would ask for: `git clean -x` deletes the lock file under its holder, and the
// next to come locks a new one. The caller has d.mu.
func (d *Dir) stillHeld() error {
	if d.held == nil {
		return ErrNotLocked
	}
	if !linked(d.held) {
		return errLost
	}
	return nil
}
