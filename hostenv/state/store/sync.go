package store

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// makeDir creates the folder at path and missing ones above it, and makes their
// names durable from the top down.
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
		// Another process may have created the folder. A dangling link also
		// fails here, and is not a folder.
		if info, statErr := os.Stat(path); statErr != nil || !info.IsDir() {
			return fail("create folder", path, err)
		}
	}
	if err := syncDir(parent); err != nil {
		return fail("create folder", path, err)
	}
	return nil
}

// syncDir makes the names in the folder at path durable. Some user-space and
// network file systems do not support it; syncDir ignores their error, because
// there is no other way.
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
