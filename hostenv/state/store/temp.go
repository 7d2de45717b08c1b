package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sync/atomic"
)

// temp is the shape of a temporary file's name, with the name it stands for.
var temp = regexp.MustCompile(`^\.(.+)\.[0-9]+-[0-9]+\.tmp$`)

// temps counts the temporary files of this process.
var temps atomic.Int64

func isTemp(name string) bool {
	return temp.MatchString(name)
}

// createTemp creates an empty file beside path, on the same file system. It never
// opens an existing file, which may belong to a process with the same number on
// another machine.
func createTemp(path string, perm fs.FileMode) (*os.File, error) {
	dir, name := filepath.Split(path)
	for range 1000 {
		tmp := fmt.Sprintf("%s.%s.%d-%d.tmp", dir, name, os.Getpid(), temps.Add(1))
		f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
	return nil, fs.ErrExist
}

// sweep removes the temporary files in dir, and those beside the targets of
// links in dir. The caller has the lock, so their writers are dead. (Two folders
// with links to one file have two locks: there, sweep may remove the temporary
// file of a running writer, which then fails and leaves the old bytes.)
func sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fail("read folder", dir, err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch {
		case e.Type().IsRegular() && isTemp(e.Name()):
			err = remove(path)
		case e.Type() == fs.ModeSymlink && !isTemp(e.Name()):
			err = sweepBeside(path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sweepBeside removes the temporary files of the target of link, and not those of
// other files in its folder.
func sweepBeside(link string) error {
	file, info, err := resolve(link)
	if err != nil || info != nil && !info.Mode().IsRegular() {
		return nil //nolint:nilerr // nothing that Write would have written through
	}
	dir, name := filepath.Split(file)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil //nolint:nilerr // a link to something else than a file of ours, perhaps
	}
	for _, e := range entries {
		m := temp.FindStringSubmatch(e.Name())
		if m == nil || m[1] != name || !e.Type().IsRegular() {
			continue
		}
		if err := remove(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// remove removes the file at path if it exists.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fail("remove leftover", path, err)
	}
	return nil
}
