package store_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/state/store"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// childEnv names the entry of parts that a child process runs.
const childEnv = "STORE_TEST_CHILD"

// parts has the functions that the test binary can run as a child process.
var parts = map[string]func(args []string) error{}

func TestMain(m *testing.M) {
	if part := os.Getenv(childEnv); part != "" {
		if err := parts[part](os.Args[1:]); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", part, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child returns the command that runs a part in a child process.
func child(t *testing.T, part string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), childEnv+"="+part)
	cmd.Stderr = os.Stderr
	return cmd
}

// insideEnv is set in a process that [inside] has started.
const insideEnv = "STORE_TEST_INSIDE"

// inside starts a process with attr that runs the same test, and in which inside
// returns true. In the first process it returns false, with the test passed,
// skipped or failed as in the second.
func inside(t *testing.T, dir string, attr *syscall.SysProcAttr) (string, bool) {
	t.Helper()
	if dir := os.Getenv(insideEnv); dir != "" {
		return dir, true
	}
	// By this name, a user without access to its folder can run the binary.
	exe := "/proc/self/exe"
	if _, err := os.Stat(exe); err != nil {
		if exe, err = os.Executable(); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(exe, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), insideEnv+"="+dir)
	cmd.Dir = "/"
	cmd.SysProcAttr = attr
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		testenv.LeaveOut(t, "mounts", "this machine does not allow such a process: %v", err)
	}
	err := cmd.Wait()
	switch {
	case err != nil:
		t.Errorf("%v\n%s", err, out.Bytes())
	case bytes.Contains(out.Bytes(), []byte("--- SKIP: "+t.Name())):
		t.Skipf("%s", out.Bytes())
	case !bytes.Contains(out.Bytes(), []byte("--- PASS: "+t.Name())):
		t.Errorf("the test did not run:\n%s", out.Bytes())
	}
	return "", false
}

// doc returns a document of exactly size bytes that contains its own size and
// checksum, so that whole refuses any part of it and any mixture of two.
func doc(seed string, size int) []byte {
	unit := sha256.Sum256([]byte(seed))
	body := bytes.Repeat(fmt.Appendf(nil, "%x\n", unit), size/65+1)
	const head = 65 + 11
	if size < head {
		panic("document too small")
	}
	body = body[:size-head]
	return append(fmt.Appendf(nil, "%010d\n%x\n", size, sha256.Sum256(body)), body...)
}

// whole returns an error unless data is a complete document.
func whole(data []byte) error {
	const head = 65 + 11
	if len(data) < head {
		return fmt.Errorf("torn: only %d bytes", len(data))
	}
	body := data[head:]
	if want := fmt.Appendf(nil, "%010d\n%x\n", len(data), sha256.Sum256(body)); !bytes.Equal(data[:head], want) {
		return fmt.Errorf("torn: %d bytes whose header is %q", len(data), data[:11])
	}
	return nil
}

// lock locks d, which must be unlocked.
func lock(t *testing.T, d *store.Dir) (unlock func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Patience)
	defer cancel()
	release, err := d.Lock(ctx)
	if err != nil {
		t.Fatalf("Lock of a free folder: %v", err)
	}
	return func() {
		t.Helper()
		if err := release(); err != nil {
			t.Error(err)
		}
	}
}

// write writes under the lock, and checks whether the file has changed.
func write(t *testing.T, d *store.Dir, name string, data []byte, want bool) {
	t.Helper()
	changed, err := d.Write(name, data)
	if err != nil {
		t.Fatal(err)
	}
	if changed != want {
		t.Errorf("Write(%s) returns changed = %v, want %v", name, changed, want)
	}
	wantFile(t, d, name, data)
}

func wantFile(t *testing.T, d *store.Dir, name string, want []byte) {
	t.Helper()
	got, err := d.Read(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s has %d bytes (%v), want the %d written", name, len(got), whole(got), len(want))
	}
}

// wantNames checks the entries of the folder, without the lock file.
func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		if e.Name() != ".hostenv.lock" {
			got = append(got, e.Name())
		}
	}
	want = slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Errorf("%s holds %q, want %q", dir, got, want)
	}
}

// wantError checks that err is of this kind, names the path, and has a hint that
// contains this text.
func wantError(t *testing.T, err, kind error, path, hint string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("error is %v, want a %v", err, kind)
	}
	if !strings.Contains(err.Error(), path) {
		t.Errorf("error %q does not name %s", err, path)
	}
	if strings.Contains(err.Error(), ".tmp") {
		t.Errorf("error %q names a temporary file", err)
	}
	var h interface{ Hint() string }
	if !errors.As(err, &h) || !strings.Contains(h.Hint(), hint) || h.Hint() == "" {
		t.Errorf("the hint of %q does not contain %q", err, hint)
	}
}

// put writes a file without the store, as git would.
func put(t *testing.T, path string, data []byte, perm fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, perm); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, perm); err != nil {
		t.Fatal(err)
	}
}
