package store

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Write makes data the content of the file called name, wholly or not at all.
// When it returns nil, data is on the disk. changed reports whether the file had
// other bytes before, or did not exist. The folder must be locked through this
// Dir, or the error is [ErrNotLocked].
//
// After an error, the file has its old bytes if changed is false. If changed is
// true it has the new bytes, but a power cut may restore the old ones.
func (d *Dir) Write(name string, data []byte) (changed bool, err error) {
	path, err := d.file("write", name)
	if err != nil {
		return false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.stillHeld(); err != nil {
		return false, fail("write", path, err)
	}
	changed, err = d.replace(path, data)
	if err != nil {
		return changed, fail("write", path, err)
	}
	return changed, nil
}

// replace does the work of Write.
func (d *Dir) replace(path string, data []byte) (changed bool, err error) {
	path, old, err := resolve(path)
	if err != nil {
		return false, err
	}
	if old != nil {
		if !old.Mode().IsRegular() {
			return false, errors.New("not a regular file")
		}
		same, err := settled(path, data)
		if same || err != nil {
			return false, err
		}
	}
	tmp, err := writeTemp(path, data, old)
	if err != nil {
		return false, err
	}
	// A long write leaves time for the lock file to be deleted.
	err = d.stillHeld()
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return false, errors.Join(err, os.Remove(tmp))
	}
	return true, syncDir(filepath.Dir(path))
}

// resolve follows the links at path to the file to replace. Unlike
// filepath.EvalSymlinks it accepts a missing file, for which info is nil.
func resolve(path string) (file string, info fs.FileInfo, err error) {
	// As many links as Linux follows.
	for range 40 {
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return path, nil, nil
		}
		if err != nil || info.Mode().Type() != fs.ModeSymlink {
			return path, info, err
		}
		next, err := os.Readlink(path)
		if err != nil {
			return "", nil, err
		}
		if !filepath.IsAbs(next) {
			// A relative target starts at the real path of the link's folder.
			// Its ".." must not remove the name of a folder that is a link.
			dir, err := filepath.EvalSymlinks(filepath.Dir(path))
			if err != nil {
				return "", nil, err
			}
			next = dir + string(filepath.Separator) + next
		}
		// The same applies to folders in the target, hence Split, which does not
		// clean the path.
		dir, name := filepath.Split(next)
		if dir, err = filepath.EvalSymlinks(dir); err != nil {
			return "", nil, err
		}
		path = filepath.Join(dir, name)
	}
	return "", nil, syscall.ELOOP
}

// settled reports whether the file at path holds exactly data, and if so makes it
// durable. fsync does not change the file or the folder.
func settled(path string, data []byte) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if same, err := holds(f, data); !same || err != nil {
		return false, err
	}
	if err := f.Sync(); err != nil {
		return false, err
	}
	return true, syncDir(filepath.Dir(path))
}

// writeTemp writes data durably to a new file beside path, with the permissions of
// old if that is not nil, and returns its name. If it fails it removes the file.
func writeTemp(path string, data []byte, old fs.FileInfo) (_ string, err error) {
	perm := fs.FileMode(0o666)
	if old != nil {
		perm = old.Mode().Perm()
	}
	f, err := createTemp(path, perm)
	if err != nil {
		return "", err
	}
	tmp := f.Name()
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp))
		}
	}()

	err = fill(f, data, old)
	// Network file systems report a full disk at close.
	err = errors.Join(err, f.Close())
	if err != nil {
		return "", err
	}

	// Read the file back by name. This checks that the name leads to these bytes,
	// and, on file systems with caches per process, what other processes will see.
	r, err := os.Open(tmp)
	if err != nil {
		return "", err
	}
	defer r.Close()
	same, err := holds(r, data)
	if err == nil && !same {
		err = errors.New("the file system returned other bytes than we wrote")
	}
	return tmp, err
}

// fill writes data to the empty file f and waits for the disk.
func fill(f *os.File, data []byte, old fs.FileInfo) error {
	if old != nil {
		// The umask may have taken away what the old file grants.
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if perm := old.Mode().Perm(); info.Mode().Perm() != perm {
			if err := f.Chmod(perm); err != nil {
				return err
			}
		}
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}

// holds reports whether the content of f is exactly data. It reads in pieces,
// because a plan can have tens of megabytes.
func holds(f *os.File, data []byte) (bool, error) {
	info, err := f.Stat()
	if err != nil || info.Size() != int64(len(data)) {
		return false, err
	}
	buf := make([]byte, min(len(data), 256<<10))
	for len(data) > 0 {
		n, err := io.ReadFull(f, buf[:min(len(data), len(buf))])
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return false, nil
		}
		if err != nil || !bytes.Equal(buf[:n], data[:n]) {
			return false, err
		}
		data = data[n:]
	}
	return true, nil
}
