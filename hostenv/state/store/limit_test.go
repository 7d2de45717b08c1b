package store_test

import (
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/state/store"
)

// A limit on file sizes makes a write fail halfway on every system. Linux writes
// the bytes up to the limit.
func TestFileSizeLimit(t *testing.T) {
	dir, ok := inside(t, filepath.Join(t.TempDir(), "generated"), nil)
	if !ok {
		return
	}
	d := store.Open(dir)
	defer lock(t, d)()
	old := doc("old", 10_000)
	write(t, d, "state.json", old, true)

	signal.Ignore(syscall.SIGXFSZ)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	limit := before
	limit.Cur = 20_000
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{20_001, 3_000_000} {
		changed, err := d.Write("state.json", doc("new", size))
		wantError(t, err, syscall.EFBIG, filepath.Join(dir, "state.json"), "ulimit -f")
		if changed {
			t.Error("a failed write reports a change")
		}
		wantFile(t, d, "state.json", old)
		wantNames(t, dir, "state.json")
	}
	write(t, d, "state.json", doc("new", 20_000), true)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	write(t, d, "state.json", doc("new", 3_000_000), true)
	wantNames(t, dir, "state.json")
}

// Root ignores permissions, so for root the test runs as an unprivileged user.
func TestForbiddenFolder(t *testing.T) {
	var path string
	var attr *syscall.SysProcAttr
	if os.Getenv(insideEnv) == "" {
		base := t.TempDir()
		// The unprivileged user needs access to the folders above.
		if err := os.Chmod(filepath.Dir(base), 0o755); err != nil {
			t.Fatal(err)
		}
		const unprivileged = 65534
		path = filepath.Join(base, "generated")
		put(t, filepath.Join(path, "state.json"), doc("x", 100), 0o444)
		if os.Getuid() == 0 {
			attr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: unprivileged, Gid: unprivileged}}
			if err := os.Chown(path, unprivileged, unprivileged); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(path, 0o555); err != nil {
			t.Fatal(err)
		}
		defer os.Chmod(path, 0o755) // so that the test can remove it
	}
	dir, ok := inside(t, path, attr)
	if !ok {
		return
	}
	refused := func(when string) {
		t.Helper()
		_, err := store.Open(dir).Lock(t.Context())
		wantError(t, err, fs.ErrPermission, filepath.Join(dir, ".hostenv.lock"), "ls -la "+dir)
		wantFile(t, store.Open(dir), "state.json", doc("x", 100))
		wantNames(t, dir, "state.json")
	}
	refused("the lock file cannot be created")

	// The folder becomes read-only after it was locked.
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	d := store.Open(dir)
	unlock := lock(t, d)
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	_, err := d.Write("state.json", doc("new", 100))
	wantError(t, err, fs.ErrPermission, filepath.Join(dir, "state.json"), "chown")
	wantFile(t, d, "state.json", doc("x", 100))
	wantNames(t, dir, "state.json")
	write(t, d, "state.json", doc("x", 100), false) // the same bytes need no permission
	unlock()
}
