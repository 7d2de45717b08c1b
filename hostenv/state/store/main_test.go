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

// childEnv names the part that a re-executed test binary plays.
const childEnv = "STORE_TEST_CHILD"

// parts are what a re-executed test binary can do, given its arguments.
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

// child returns the command that plays a part in a process of its own.
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

// insideEnv is set in a test that runs itself again in other circumstances.
const insideEnv = "STORE_TEST_INSIDE"

// inside returns true in a process that has been started with attr. Elsewhere
// it starts that process, which runs the same test, and returns false when it
// has come to the same end: passed, skipped or failed.
func inside(t *testing.T, dir string, attr *syscall.SysProcAttr) (string, bool) {
	t.Helper()
	if dir := os.Getenv(insideEnv); dir != "" {
		return dir, true
	}
	// By this name, the binary can also be run by a user who cannot see it.
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
		testenv.LeaveOut(t, "mounts", "this machine does not let the test have its circumstances: %v", err)
	}
	err := cmd.Wait()
	switch {
	case err != nil:
		t.Errorf("%v\n%s", err, out.Bytes())
	case bytes.Contains(out.Bytes(), []byte("--- SKIP: "+t.Name())):
		t.Skipf("%s", out.Bytes())
	case !bytes.Contains(out.Bytes(), []byte("--- PASS: "+t.Name())):
		t.Errorf("the test has not run:\n%s", out.Bytes())
	}
	return "", false
}

// doc returns a document of exactly size bytes that knows its own size and sum:
// no part of it, and no mixture of two, passes whole.
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

// whole returns an error unless data is a document, wholly.
func whole(data []byte) error {
	const head = 65 + 11
	if len(data) < head {
		return fmt.Errorf("torn: only %d bytes", len(data))
	}
	body := data[head:]
	if want := fmt.Appendf(nil, "%010d\n%x\n", len(data), sha256.Sum256(body)); !bytes.Equal(data[:head], want) {
		return fmt.Errorf("torn: %d bytes that say %q of themselves", len(data), data[:11])
	}
	return nil
}

// lock locks d, which is free.
func lock(t *testing.T, d *store.Dir) (unlock func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Patience)
	defer cancel()
	release, err := d.Lock(ctx)
	if err != nil {
		t.Fatalf("the free lock was not given: %v", err)
	}
	return func() {
		t.Helper()
		if err := release(); err != nil {
			t.Error(err)
		}
	}
}

// write writes under the lock, and wants the file to have changed or not.
func write(t *testing.T, d *store.Dir, name string, data []byte, want bool) {
	t.Helper()
	changed, err := d.Write(name, data)
	if err != nil {
		t.Fatal(err)
	}
	if changed != want {
		t.Errorf("Write(%s) says changed = %v, want %v", name, changed, want)
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

// wantNames wants the folder to have these entries besides the lock file.
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

// wantError wants an error of this kind that names the path, and a hint that
// speaks of what there is to do.
func wantError(t *testing.T, err, kind error, path, hint string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("error is %v, want a %v", err, kind)
	}
	if !strings.Contains(err.Error(), path) {
		t.Errorf("error %q does not name %s", err, path)
	}
	if strings.Contains(err.Error(), ".tmp") {
		t.Errorf("error %q speaks of a temporary file, which is no one's concern", err)
	}
	var h interface{ Hint() string }
	if !errors.As(err, &h) || !strings.Contains(h.Hint(), hint) || h.Hint() == "" {
		t.Errorf("the hint of %q does not say %q", err, hint)
	}
}

// put makes a file without the store, as git or another program would.
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
