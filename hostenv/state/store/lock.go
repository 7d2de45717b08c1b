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

// lockName is the file with the flock. It is a separate file because a flock
// belongs to an inode, and renames replace the inodes of the other files.
const lockName = ".hostenv.lock"

// pollEvery is the time between two tries for a held lock. We poll because a
// blocking flock cannot be cancelled when the context ends.
const pollEvery = 20 * time.Millisecond

// ErrNotLocked is the error of a write without the folder's lock. It is a mistake
// of the program, unless the lock file was deleted.
var ErrNotLocked = errors.New("the folder is not locked")

// errLost reports that the lock file was deleted while we held it.
var errLost = fmt.Errorf("%w any more: %s was deleted or replaced meanwhile", ErrNotLocked, lockName)

// HeldError is the error of a Lock whose context ended while another process or
// goroutine held the lock. It wraps the context's error.
type HeldError struct {
	Path   string // the lock file
	Holder Holder // the zero Holder if it is unknown

	cause error
}

// Error names the holder and the time of its lock.
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
// process and among all processes. It creates the folder if it is missing, and
// removes temporary files of dead writers. While the lock is held elsewhere, Lock
// waits until ctx is done, and then returns a [*HeldError]. If ctx is done from
// the start, Lock returns its error. The lock is not reentrant.
//
// unlock waits for a running write and releases the lock. A second call has no
// effect. The end of the process releases the lock as well.
func (d *Dir) Lock(ctx context.Context) (unlock func() error, err error) {
	path := filepath.Join(d.path, lockName)
	if err := ctx.Err(); err != nil {
		return nil, fail("lock", path, err)
	}
	if err := makeDir(d.path); err != nil {
		return nil, err
	}

	// O_RDWR, because an NFS server requires it for an exclusive lock.
	// O_NOFOLLOW, because we overwrite the content, and a link may lead anywhere.
	// Package os adds O_CLOEXEC. Every call makes its own Flock, because TryLock
	// of a locked one returns true.
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
		// Until the next holder has written its name, it must be unknown and not
		// be taken for this process.
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

// handover is held while a flock is taken or released. The kernel orders these
// calls, but the Go memory model does not cover flock. The mutex makes all that a
// goroutine did before unlock happen before the next Lock returns.
var handover sync.Mutex

// tryLock tries once to lock the file at fl's path. If the file was deleted or
// replaced between open and flock, the lock excludes no other process, and tryLock
// releases it.
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

// stillHeld returns nil if d holds the lock on the file that is at the path now.
// `git clean -x` deletes the lock file, after which another process can lock a new
// one. The caller holds d.mu.
func (d *Dir) stillHeld() error {
	if d.held == nil {
		return ErrNotLocked
	}
	if !linked(d.held) {
		return errLost
	}
	return nil
}
