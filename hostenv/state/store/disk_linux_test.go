package store_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/state/store"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// mounts runs the test again in a process with its own mount namespace, where it
// returns a folder on a small file system and true. Elsewhere it returns false.
// Users other than root also need a user namespace.
func mounts(t *testing.T, options string) (string, bool) {
	t.Helper()
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	dir, ok := inside(t, t.TempDir(), attr)
	if !ok {
		return "", false
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		testenv.LeaveOut(t, "mounts", "the mounts cannot be made private: %v", err)
	}
	if err := syscall.Mount("store-test", dir, "tmpfs", 0, options); err != nil {
		testenv.LeaveOut(t, "mounts", "no tmpfs can be mounted: %v", err)
	}
	// The file system ends with the process.
	return dir, true
}

// fill writes to a file until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for {
		if _, err := f.Write(make([]byte, 4096)); errors.Is(err, syscall.ENOSPC) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestFullDisk(t *testing.T) {
	base, ok := mounts(t, "size=128k,mode=0755")
	if !ok {
		return
	}
	d := store.Open(filepath.Join(base, "generated"))
	filler := filepath.Join(base, "filler")
	old := doc("old", 20_000)
	unlock := lock(t, d)
	write(t, d, "state.json", old, true)
	unlock()

	// 0 to 3 free pages are too few for the new bytes, but enough for some of them.
	for pages := range 4 {
		fill(t, filler)
		info, err := os.Stat(filler)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(filler, info.Size()-int64(pages*4096)); err != nil {
			t.Fatal(err)
		}
		unlock := lock(t, d) // the lock needs no room, its holder's name does
		for _, name := range []string{"state.json", "plan.json"} {
			changed, err := d.Write(name, doc("new", 20_000))
			wantError(t, err, syscall.ENOSPC, filepath.Join(d.Path(), name), "df -h "+d.Path())
			if changed {
				t.Error("a failed write reports a change")
			}
		}
		wantFile(t, d, "state.json", old)
		wantNames(t, d.Path(), "state.json")
		write(t, d, "state.json", old, false) // needs no room
		if pages == 0 {
			if held := wantHeld(t, store.Open(d.Path()), "it is locked"); held.Holder.PID != 0 {
				t.Errorf("the holder without room for its name is %+v", held.Holder)
			}
		}
		unlock()
	}

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	defer lock(t, d)()
	write(t, d, "state.json", doc("new", 20_000), true)
	wantNames(t, d.Path(), "state.json")
}

// Without free inodes, neither a temporary file nor a lock file can be created.
func TestNoInodes(t *testing.T) {
	base, ok := mounts(t, "nr_inodes=20,mode=0755")
	if !ok {
		return
	}
	d := store.Open(filepath.Join(base, "generated"))
	old := doc("old", 20_000)
	unlock := lock(t, d)
	write(t, d, "state.json", old, true)
	if err := os.Mkdir(filepath.Join(base, "unlocked"), 0o755); err != nil {
		t.Fatal(err)
	}
	var fillers []string
	for {
		path := filepath.Join(base, fmt.Sprint(len(fillers)))
		if err := os.WriteFile(path, nil, 0o644); errors.Is(err, syscall.ENOSPC) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		fillers = append(fillers, path)
	}

	_, err := d.Write("state.json", doc("new", 100))
	wantError(t, err, syscall.ENOSPC, filepath.Join(d.Path(), "state.json"), "df -i")
	wantFile(t, d, "state.json", old)
	wantNames(t, d.Path(), "state.json")
	unlock()
	lock(t, d)() // the lock file is there already

	_, err = store.Open(filepath.Join(base, "unlocked")).Lock(t.Context())
	wantError(t, err, syscall.ENOSPC, filepath.Join(base, "unlocked", ".hostenv.lock"), "df -i")
	_, err = store.Open(filepath.Join(base, "new")).Lock(t.Context())
	wantError(t, err, syscall.ENOSPC, filepath.Join(base, "new"), "df -i")

	if err := os.Remove(fillers[0]); err != nil {
		t.Fatal(err)
	}
	defer lock(t, d)()
	write(t, d, "state.json", doc("new", 100), true)
	wantNames(t, d.Path(), "state.json")
}

// Read works on a read-only file system, such as a snapshot.
func TestReadOnlyFileSystem(t *testing.T) {
	base, ok := mounts(t, "size=128k,mode=0755")
	if !ok {
		return
	}
	d := store.Open(filepath.Join(base, "generated"))
	unlock := lock(t, d)
	write(t, d, "state.json", doc("x", 100), true)
	unlock()
	// A reader must not try to remove the file of a dead writer.
	put(t, filepath.Join(d.Path(), ".state.json.1-1.tmp"), nil, 0o644)

	if err := syscall.Mount("", base, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		testenv.LeaveOut(t, "mounts", "nothing can be mounted read-only: %v", err)
	}
	wantFile(t, d, "state.json", doc("x", 100))
	_, err := d.Lock(t.Context())
	wantError(t, err, syscall.EROFS, filepath.Join(d.Path(), ".hostenv.lock"), "read-only")
	_, err = store.Open(filepath.Join(base, "new")).Lock(t.Context())
	wantError(t, err, syscall.EROFS, filepath.Join(base, "new"), "read-only")
	wantNames(t, d.Path(), ".state.json.1-1.tmp", "state.json")
}

// A link may lead to another file system, and rename works only within one.
func TestLinkToAnotherFileSystem(t *testing.T) {
	base, ok := mounts(t, "size=128k,mode=0755")
	if !ok {
		return
	}
	other := filepath.Join(base, "other")
	if err := os.Mkdir(other, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("store-test", other, "tmpfs", 0, "size=64k"); err != nil {
		testenv.LeaveOut(t, "mounts", "no tmpfs can be mounted: %v", err)
	}
	d := store.Open(filepath.Join(base, "generated"))
	link(t, "../other/state.json", filepath.Join(d.Path(), "state.json"))
	unlock := lock(t, d)
	write(t, d, "state.json", doc("old", 100), true)
	write(t, d, "state.json", doc("new", 20_000), true)
	// The limit is that of the target's file system.
	_, err := d.Write("state.json", doc("newer", 80_000))
	wantError(t, err, syscall.ENOSPC, filepath.Join(d.Path(), "state.json"), "df")
	unlock()
	wantFile(t, d, "state.json", doc("new", 20_000))
	wantNames(t, other, "state.json")
	wantNames(t, d.Path(), "state.json")
	if f, err := os.Open(other); err == nil {
		defer f.Close()
		if names, err := f.Readdirnames(-1); err != nil && err != io.EOF || len(names) != 1 {
			t.Errorf("beside the link's target are %q (%v)", names, err)
		}
	}
}
