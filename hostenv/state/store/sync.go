package store

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// makeDir creates the folder at path and those above it, as far as they are
// missing, and makes their names durable from the top down.
func makeDir(path string) error {
	if info, err := os.Stat(path); err == nil {
		if !info.IsDir() {
			return fail("create folder", path, syscall.ENOTDIR)
		}
		return nil
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, 0o777); err != nil {
		// Another process may have been faster. A link that leads nowhere
		// exists as well, and is no folder.
		if info, statErr := os.Stat(path); statErr != nil || !info.IsDir() {
			return fail("create folder", path, err)
		}
	}
	if err := syncDir(parent); err != nil {
		return fail("create folder", path, err)
	}
	return nil
}

// syncDir makes the names in the folder at path durable. Not every file system
// knows how (some in user space and network ones do not): one that says so has
// no more to offer, and is no reason to fail after the work is done.
func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	err = f.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		return nil
	}
	return err
}
