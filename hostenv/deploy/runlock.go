package deploy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A RunLock is held by the one run of a checkout, and by the processes that it
// leaves behind: once it is free, none of them is at work any more.
type RunLock struct{ File *os.File }

// RunLockedError says that another run of this checkout is at work.
type RunLockedError struct{ Path, Holder string }

func (e *RunLockedError) Error() string {
	if e.Holder == "" {
		return "another deploy is running here (" + e.Path + " is locked)"
	}
	return "another deploy is running here: " + e.Holder
}

// Hint says what to do.
func (e *RunLockedError) Hint() string {
	return "wait for it: -lockWait=10m. If it was killed, an activation that it began continues; `fuser -v " + e.Path + "` shows the process"
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
			// The text is for people: the lock holds even if it cannot be written.
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
