// Package store locks, reads and writes the folder of a provider's generated
// files: state.json, plan.json and others beside them. It does not interpret their
// bytes.
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
// A folder has one writer: [Dir.Lock] takes flock(2) on ".hostenv.lock", a
// separate file that is never unlinked or renamed. The kernel releases the lock
// when its holder ends, even by a crash, so locks never need to be cleared. The
// file's content is not the lock: it names the holder in the errors of other
// processes. Child processes do not inherit the descriptor of the lock.
//
// [Dir.Read] needs no lock and opens the file only for reading. It sees the whole
// bytes of one write, old or new, even during a write.
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
//   - Writes without the lock, or after the lock file was deleted or replaced:
//     [ErrNotLocked].
//   - Waiting for the lock after the context has ended: [HeldError].
//   - Names that are not plain file names, or that the package uses itself.
//   - Targets that are not regular files.
//
// Errors contain the operation and the path. If the operator can remove the cause,
// the error has a method Hint() string that says how; find it with errors.As.
// Errors wrap those of the system, so errors.Is(err, fs.ErrNotExist) works.
//
// # Limits
//
// Linux and macOS, on file systems with working flock, rename and fsync. On
// macOS, fsync is F_FULLFSYNC. On a file system without fsync for folders (EINVAL
// or ENOTSUP), the package does without it. On NFS, flock works between machines
// only since Linux 2.6.12, and not with the mount options local_lock=flock or
// nolock. A lock may be lost without notice while the server is away, and readers
// on other machines see a new file only after their attribute cache expires. Use
// one checkout per machine, and share the files by git.
package store

import (
	"errors"
	"os"
	"path/filepath"
	"sync"

	"github.com/gofrs/flock"
)

// Dir is a provider's folder of generated files. Several goroutines may use it; it
// must not be copied. The lock also works between several Dirs of one folder, in
// one process or in several.
type Dir struct {
	path string

	// mu orders writes of one Dir, and makes unlock wait for a running write.
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

// Read returns the bytes of the file called name. It takes no lock: to write data
// that depends on what it reads, the caller must hold the lock before Read. If
// there is no such file, the error is an [io/fs.ErrNotExist].
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

// file returns the path of the file called name, or an error if the file is not
// in the folder or is one that this package uses itself.
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
