package nixosnode

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cgroups is where version 2 of cgroups is mounted. Some machines mount version 1
// beside it, and then version 2 has no controllers.
func cgroups() string {
	const beside = "/sys/fs/cgroup/unified"
	if _, err := os.Stat(filepath.Join(beside, "cgroup.procs")); err == nil {
		return beside
	}
	return "/sys/fs/cgroup"
}

// Controllers lists the cgroup controllers that can enforce the limits of a
// node's slices, such as "memory" and "cpu".
func Controllers() []string {
	text, err := os.ReadFile(filepath.Join(cgroups(), "cgroup.controllers"))
	if err != nil {
		return nil
	}
	return strings.Fields(string(text))
}

const runPrefix = "hostenv-nixosnode-"

// A run is one run of the tests. It has a folder in the cache, which it keeps
// locked, and a cgroup of the same name that holds the cgroups of its nodes.
type run struct {
	dir, cgroup string
	lock        *os.File
}

func newRun() (*run, error) {
	if err := sweepRuns(); err != nil {
		return nil, err
	}
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(cache, runPrefix)
	if err != nil {
		return nil, err
	}
	r := &run{dir: dir, cgroup: filepath.Join(cgroups(), filepath.Base(dir))}
	// Lock the folder before it gets its name: another run sweeps unlocked ones.
	name := filepath.Join(dir, "lock")
	if r.lock, err = os.Create(name + ".new"); err != nil {
		return nil, err
	}
	if err := errors.Join(unix.Flock(int(r.lock.Fd()), unix.LOCK_EX), os.Rename(name+".new", name)); err != nil {
		return nil, err
	}
	if err := os.Mkdir(r.cgroup, 0o755); err != nil {
		return nil, errors.Join(fmt.Errorf("make a cgroup: %w", err), r.end())
	}
	return r, errors.Join(delegate(cgroups()), delegate(r.cgroup))
}

func (r *run) end() error {
	removeCgroup(r.cgroup)
	return errors.Join(removeAll(r.dir), r.lock.Close())
}

// sweepRuns removes what killed runs left behind. Their processes have ended
// already.
func sweepRuns() error {
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	locks, err := filepath.Glob(filepath.Join(cache, runPrefix+"*", "lock"))
	if err != nil {
		return err
	}
	for _, path := range locks {
		lock, err := os.Open(path)
		if err != nil {
			continue // the run ended just now
		}
		if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			dir := filepath.Dir(path)
			removeCgroup(filepath.Join(cgroups(), filepath.Base(dir)))
			err = removeAll(dir)
		}
		if err := errors.Join(err, lock.Close()); err != nil {
			return err
		}
	}
	return nil
}

// delegate lets the children of a cgroup use its controllers.
func delegate(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for _, name := range strings.Fields(string(text)) {
		// Nodes work without a controller that cannot be delegated.
		_ = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+name), 0)
	}
	return nil
}

// removeCgroup removes a cgroup and those below it, except those that still
// have processes.
func removeCgroup(dir string) {
	var all []string
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			all = append(all, path)
		}
		return nil
	})
	for _, path := range slices.Backward(all) {
		_ = os.Remove(path)
	}
}

// renewCgroup replaces a cgroup by one without processes. It makes the run's
// cgroup again if that is gone, because a systemd of the machine removes empty
// cgroups. Killed processes leave their cgroup a moment after they end.
func renewCgroup(dir string) error {
	var err error
	for range 100 {
		removeCgroup(dir)
		if err = os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
			break
		}
		if err = os.Mkdir(dir, 0o755); err == nil {
			return delegate(filepath.Dir(dir))
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("make a cgroup: %w", err)
}
