package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// opError is a failed operation on a path.
type opError struct {
	op   string
	path string
	err  error
}

// fail returns an *opError. Its text leaves out the operations and paths that
// package os adds to err, because they name temporary files.
func fail(op, path string, err error) error {
	return &opError{op: op, path: path, err: err}
}

func (e *opError) Error() string {
	return fmt.Sprintf("%s %s: %s", e.op, e.path, reason(e.err))
}

func (e *opError) Unwrap() error {
	return e.err
}

// Hint says what an operator can do about the error, or is empty.
func (e *opError) Hint() string {
	dir := filepath.Dir(e.path)
	is := func(errs ...error) bool {
		for _, err := range errs {
			if errors.Is(e.err, err) {
				return true
			}
		}
		return false
	}
	switch {
	case is(errLost):
		return "run the command again, and do not delete " + lockName + " while a command runs"
	case is(syscall.ENOSPC, syscall.EDQUOT):
		return fmt.Sprintf("make room and run the command again: `df -h %[1]s` shows the space, `df -i %[1]s` the inodes, `quota` your own limits", dir)
	case is(syscall.EFBIG):
		return "raise the limit of file sizes (`ulimit -f unlimited`) and run the command again"
	case is(syscall.EROFS):
		return fmt.Sprintf("%s is on a read-only file system: remount it writable, or work in a checkout that is", dir)
	case is(syscall.EACCES, syscall.EPERM):
		return fmt.Sprintf("`ls -la %s` shows which user may write there; run the command as that user, or give the files to your user with chown", dir)
	case is(syscall.ENOLCK, syscall.ENOTSUP, syscall.ENOSYS):
		return fmt.Sprintf("the file system of %s does not support flock: use a checkout on a local disk", dir)
	case is(syscall.ELOOP):
		return fmt.Sprintf("%s is a symbolic link that we cannot follow; `ls -l %[1]s` shows its target", e.path)
	}
	return ""
}

// reason returns the text of err without the paths that package os adds. Of joined
// errors it uses the first; the others come from the clean-up after it.
func reason(err error) string {
	for {
		switch e := err.(type) { //nolint:errorlint // it unwraps by hand, one layer a round
		case *fs.PathError:
			err = e.Err
		case *os.LinkError:
			err = e.Err
		case *os.SyscallError:
			err = e.Err
		case interface{ Unwrap() []error }:
			err = e.Unwrap()[0]
		default:
			return err.Error()
		}
	}
}
