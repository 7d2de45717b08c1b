// Package store locks, reads and writes the folder of a provider's generated
// files: state.json, plan.json and whatever else is committed beside them. It
// deals in bytes; what the bytes mean is the business of its callers.
//
// # What it does
//
// After any crash, SIGKILL or full disk, a name in the folder holds the whole
// old or the whole new bytes. [Dir.Write] writes a temporary file beside the
// target, fsyncs it, closes it, reads it back by name and compares, renames it
// over the target and fsyncs the folder. When Write has returned without an
// error, the bytes survive a power cut; two writes made one after the other
// reach the disk in that order.
//
// Writing the bytes a file already has changes nothing: no temporary file, no
// new inode, no new time stamp. They are still fsynced, because the writer
// before may have died between its rename and its fsync, or may have been git.
//
// One writer a folder: [Dir.Lock] takes flock(2) on ".hostenv.lock", a file of
// its own that is never unlinked or renamed. The kernel drops the lock with its
// holder, however that one ends, so there is no stale lock to clear. The file's
// content names the holder for the eyes of whoever waits; it is not the lock.
// A descriptor of the lock is never inherited by a child process.
//
// [Dir.Read] needs no lock and opens nothing for writing. It sees the whole
// bytes of one write, old or new, also while a writer is at work.
//
// Temporary files are called ".<name>.<pid>-<n>.tmp". Those that a dead writer
// left behind are removed by the next Lock. No other file is ever removed.
//
// # What it keeps
//
// An existing file keeps its permission bits; a new one gets 0666 without the
// umask. A name that is a symbolic link stays one: the file it leads to is
// replaced, by way of a temporary file in that file's own folder, so the link
// may dangle and may cross file systems. The folder itself may be a link.
// Owner, ACLs, extended attributes and further hard links of a replaced file
// are not carried over.
//
// # What it refuses
//
// To write without the lock, or after the lock file was deleted or replaced
// under it: [ErrNotLocked]. To wait for a lock longer than its context lasts:
// [HeldError]. Names that are not plain file names, or that it uses itself.
// Targets that are not regular files.
//
// Errors say what was attempted on which path. Where an operator can mend the
// cause, the error has a method Hint() string that says how; find it with
// errors.As. Errors wrap the system's own, so errors.Is(err, fs.ErrNotExist)
// and the like hold.
//
// # Limits
//
// Linux and macOS, on file systems with working flock, rename and fsync. On
// macOS, fsync is F_FULLFSYNC. A file system that has no fsync for folders (it
// answers EINVAL or ENOTSUP) is taken as it is. On NFS, flock holds between
// machines only since Linux 2.6.12 and unless the mount says local_lock=flock
// or nolock; a lock may be lost while the server is away, without notice, and
// readers on other machines see a new file only when their attribute cache
// lets them. Keep one checkout per machine and let git carry the files.
package store

import (
	"errors"
	"os"
	"path/filepath"
	"sync"

	"github.com/gofrs/flock"
)

// Dir is a provider's folder of generated files. It may be used from several
// goroutines; it must not be copied. Several Dirs of one folder, in one process
// or in many, exclude each other as they should.
type Dir struct {
	path string

	// mu orders writes of one Dir, and lets no unlock overtake a write.
	mu sync.Mutex
	// held is the lock while it is held, else nil.
	held *flock.Flock
}

// Open returns the folder at path. It does no I/O: the folder need not exist.
func Open(path string) *Dir {
	return &Dir{path: filepath.Clean(path)}
}

// Path returns the folder's path, cleaned but otherwise as it was given.
func (d *Dir) Path() string {
	return d.path
}

// Read returns the bytes of the file called name. It takes no lock: a caller
// that means to write what follows from them must hold the lock already.
// If there is no such file, the error is an [io/fs.ErrNotExist].
func (d *Dir) Read(name string) ([]byte, error) {
	path, err := d.file("read", name)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fail("read", path, err)
	}
	return data, nil
}

// file returns the path of the file called name, or an error if name would lead
// out of the folder or to a file that this package keeps for itself.
func (d *Dir) file(op, name string) (string, error) {
	path := filepath.Join(d.path, name)
	if name == "" || name == "." || name == ".." || name != filepath.Base(name) {
		return "", fail(op, path, errors.New("not a plain file name"))
	}
	if name == lockName || isTemp(name) {
		return "", fail(op, path, errors.New("this name is reserved for locking and temporary files"))
	}
	return path, nil
}
