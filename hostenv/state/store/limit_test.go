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

// A limit on the size of files stops a write in its midst, wherever tests run.
// On Linux the bytes up to the limit are written.
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
			t.Error("a failed write says that it has changed the file")
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

// Permissions do not bind root, so root runs this as somebody else.
func TestForbiddenFolder(t *testing.T) {
	var path string
	var attr *syscall.SysProcAttr
	if os.Getenv(insideEnv) == "" {
		base := t.TempDir()
		// As deep as whoever it will be must be able to go.
		if err := os.Chmod(filepath.Dir(base), 0o755); err != nil {
			t.Fatal(err)
		}
		const nobody = 65534
		path = filepath.Join(base, "generated")
		put(t, filepath.Join(path, "state.json"), doc("x", 100), 0o444)
		if os.Getuid() == 0 {
			attr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
			if err := os.Chown(path, nobody, nobody); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(path, 0o555); err != nil {
			t.Fatal(err)
		}
		defer os.Chmod(path, 0o755) // or it could not be removed
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
	refused("no lock file can be made")

	// Forbidden only after it has been locked.
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
	write(t, d, "state.json", doc("x", 100), false) // nothing to do, so nothing forbids it
	unlock()
}
