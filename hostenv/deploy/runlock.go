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

// A RunLock is the lock of the one run of a checkout. The processes that the run
// leaves behind hold it too: when it is free, all of them have ended.
type RunLock struct{ File *os.File }

// RunLockedError reports that another run of this checkout is running.
type RunLockedError struct{ Path, Holder string }

func (e *RunLockedError) Error() string {
	if e.Holder == "" {
		return "another deploy is running here (" + e.Path + " is locked)"
	}
	return "another deploy is running here: " + e.Holder
}

// Hint returns what to do.
func (e *RunLockedError) Hint() string {
	return "wait for it: -lockWait=10m. If it was killed, an activation that it began continues; `fuser -v " + e.Path + "` shows the process"
}

// LockRun takes the lock of a file. It waits for it at most for wait.
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
			// The text is for people. A failure to write it does not matter.
			_ = file.Truncate(0)
			_, _ = file.WriteAt([]byte(holder+"\n"), 0)
			return &RunLock{file}, nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
		case time.Now().After(deadline):
			holder := make([]byte, 512)
			n, _ := file.ReadAt(holder, 0)
			return nil, errors.Join(&RunLockedError{Path: path, Holder: strings.TrimSpace(string(holder[:n]))}, file.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), file.Close())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Close releases the lock, which other processes of the run may still hold.
func (l *RunLock) Close() error { return l.File.Close() }
