package store_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/state/store"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

func init() {
	parts["hold"] = hold
	parts["idle"] = idle
	parts["count"] = count
}

// hold locks a folder, starts a child process, prints its pid and waits to be
// killed.
func hold(args []string) error {
	if _, err := store.Open(args[0]).Lock(context.Background()); err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	grandchild := exec.Command(exe)
	grandchild.Env = append(os.Environ(), childEnv+"=idle")
	grandchild.Stdin = os.Stdin
	if err := grandchild.Start(); err != nil {
		return err
	}
	fmt.Println(grandchild.Process.Pid)
	return idle(nil)
}

// idle does nothing until its standard input ends.
func idle([]string) error {
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// A oneTry is a context that ends as soon as Lock waits for it, so that Lock tries
// exactly once, even on a slow machine.
type oneTry struct {
	context.Context
	over bool
}

func (c *oneTry) Done() <-chan struct{} {
	c.over = true
	done := make(chan struct{})
	close(done)
	return done
}

func (c *oneTry) Err() error {
	if c.over {
		return context.DeadlineExceeded
	}
	return nil
}

// wantHeld checks that Lock fails because the folder is locked, and returns the
// error.
func wantHeld(t *testing.T, d *store.Dir, reason string) *store.HeldError {
	t.Helper()
	var held *store.HeldError
	unlock, err := d.Lock(&oneTry{Context: t.Context()})
	if err == nil {
		_ = unlock()
		t.Fatalf("Lock succeeds, although %s", reason)
	}
	if !errors.As(err, &held) {
		t.Fatalf("error is %v, want a HeldError: %s", err, reason)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v does not wrap the error of the context", err)
	}
	if held.Path != filepath.Join(d.Path(), ".hostenv.lock") {
		t.Errorf("HeldError names %s", held.Path)
	}
	return held
}

func TestKilledHolderFreesTheLock(t *testing.T) {
	d := store.Open(filepath.Join(t.TempDir(), "generated"))
	cmd := child(t, "hold", d.Path(), "-token=hunter2", "--password", "hunter2")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close() // ends the grandchild
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	grandchild, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}

	held := wantHeld(t, d, "a living process has it")
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	h := held.Holder
	if h.PID != cmd.Process.Pid || h.Host != host || h.User == "" {
		t.Errorf("held by %+v, want process %d on %s", h, cmd.Process.Pid, host)
	}
	if h.Command != filepath.Base(cmd.Path) {
		t.Errorf("the holder's command is %q, want the program's name alone", h.Command)
	}
	if h.Since.Before(started.Add(-time.Minute)) || h.Since.After(time.Now().Add(time.Minute)) {
		t.Errorf("held since %s", h.Since)
	}
	for _, want := range []string{held.Path, fmt.Sprintf("process %d ", h.PID), h.Since.Format(time.RFC3339)} {
		if !strings.Contains(held.Error(), want) {
			t.Errorf("%q does not say %q", held, want)
		}
	}
	if want := fmt.Sprintf("ps -fp %d", h.PID); !strings.Contains(held.Hint(), want) {
		t.Errorf("the hint %q does not say %q", held.Hint(), want)
	}
	raw, err := os.ReadFile(held.Path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(raw, []byte("hunter2")) {
		t.Errorf("the lock file contains the value of a flag: %s", raw)
	}

	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// cmd.Wait would close the pipe, which ends the grandchild.
	if _, err := cmd.Process.Wait(); err != nil {
		t.Fatal(err)
	}
	defer lock(t, d)()
	if err := syscall.Kill(grandchild, 0); err != nil {
		t.Errorf("the killed holder's child has ended (%v), so the test does not show that it does not hold the lock", err)
	}
	if held := wantHeld(t, d, "this process has it"); held.Holder.PID != os.Getpid() {
		t.Errorf("held by %+v, want this process", held.Holder)
	}
}

// Goroutines of one process exclude each other, through one Dir or through two.
func TestSecondLockInOneProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "generated")
	d := store.Open(path)
	for _, second := range []*store.Dir{d, store.Open(path)} {
		unlock := lock(t, d)
		if held := wantHeld(t, second, "a goroutine has it"); held.Holder.PID != os.Getpid() {
			t.Errorf("held by %+v, want this process", held.Holder)
		}
		// A waiting Lock returns when the lock is free, and not before.
		free := false
		got := make(chan error, 1)
		go func() {
			release, err := second.Lock(t.Context())
			if err == nil {
				if !free {
					t.Error("two goroutines hold the lock")
				}
				err = release()
			}
			got <- err
		}()
		time.Sleep(3 * time.Millisecond) // so that it waits; the result is the same if it does not yet
		write(t, d, "state.json", doc("x", 100), second == d)
		free = true
		unlock()
		unlock() // has no effect: the other may hold the lock by now
		if err := <-got; err != nil {
			t.Error(err)
		}
	}
	lock(t, d)()
}

func TestLockWithEndedContext(t *testing.T) {
	d := store.Open(filepath.Join(t.TempDir(), "generated"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := d.Lock(ctx)
	var held *store.HeldError
	if !errors.Is(err, context.Canceled) || errors.As(err, &held) {
		t.Errorf("error is %v, want that of the context, because the lock is free", err)
	}
	if _, err := os.Lstat(d.Path()); !os.IsNotExist(err) {
		t.Error("Lock with an ended context created the folder")
	}
}

// Only the flock is the lock. The content of the file has no effect on it.
func TestLockFileContent(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		content string
		holder  string // in the error
		hint    string
		reason  string
	}{
		{"", "an unknown process", "fuser", "a full disk leaves it empty"},
		{`{"pid":12,"host":"a`, "an unknown process", "fuser", "torn"},
		{"\x00\x00\x00\x00", "an unknown process", "fuser", "zeros after a power cut"},
		{`{"pid":0}`, "an unknown process", "fuser", "no process has this number"},
		{`{"pid":-1}`, "an unknown process", "fuser", "no process has this number; kill would signal all processes"},
		{"[]", "an unknown process", "fuser", "another program wrote it"},
		{strings.Repeat(" ", 1<<20) + `{"pid":1}`, "an unknown process", "fuser", "a megabyte is too long for a name"},
		{fmt.Sprintf(`{"pid":%d,"host":%q}`, dead.Process.Pid, host), "an unknown process", "fuser", "its writer is dead, so it is not the holder"},
		{`{"pid":7,"host":"far","user":"eve\u001b[2J","command":"mage plan","since":"2026-01-02T03:04:05Z"}`,
			`process 7 (mage plan) of eve\u001b[2J on far since 2026-01-02T03:04:05Z`, "look on far", "no escape sequence reaches a terminal"},
		{`{"pid":7,"host":"far"}`, "process 7 (?) of ? on far since", "look on far", "missing fields are shown as ?"},
	} {
		d := store.Open(filepath.Join(t.TempDir(), "generated"))
		path := filepath.Join(d.Path(), ".hostenv.lock")
		put(t, path, []byte(tt.content), 0o644)
		unlock := lock(t, d) // the folder is not locked
		if err := os.WriteFile(path, []byte(tt.content), 0); err != nil {
			t.Fatal(err)
		}
		held := wantHeld(t, d, "it is locked")
		if !strings.Contains(held.Error(), "held by "+tt.holder) || !strings.Contains(held.Hint(), tt.hint) {
			t.Errorf("content %.60q: %q, hint %q; want %q, hint %q: %s",
				tt.content, held, held.Hint(), tt.holder, tt.hint, tt.reason)
		}
		unlock()
		if raw, err := os.ReadFile(path); len(raw) > 0 || err != nil {
			t.Errorf("after unlock, the lock file contains %q (%v), want it empty", raw, err)
		}
	}
}

func TestLockMakesTheFolder(t *testing.T) {
	base := t.TempDir()
	d := store.Open(filepath.Join(base, "a", "b", "generated"))
	defer lock(t, d)()
	write(t, d, "state.json", doc("x", 100), true)

	put(t, filepath.Join(base, "file"), nil, 0o644)
	for _, path := range []string{"file", "file/generated"} {
		if _, err := store.Open(filepath.Join(base, path)).Lock(t.Context()); !errors.Is(err, syscall.ENOTDIR) {
			t.Errorf("Lock of %s returns %v, want ENOTDIR", path, err)
		}
	}
	link(t, "nowhere", filepath.Join(base, "dangling"))
	if _, err := store.Open(filepath.Join(base, "dangling")).Lock(t.Context()); err == nil {
		t.Error("Lock accepts a dangling link")
	}
}

// count increments a counter in a file args[1] times, and adds an id to a list in
// it each time.
func count(args []string) error {
	d := store.Open(args[0])
	runs, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	for i := range runs {
		if err := increment(d, fmt.Sprintf("%d/%d", os.Getpid(), i)); err != nil {
			return err
		}
	}
	return nil
}

func increment(d *store.Dir, id string) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), testenv.Patience)
	defer cancel()
	unlock, err := d.Lock(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	data, err := d.Read("counter")
	if err != nil {
		return err
	}
	lines := strings.Split(string(data), "\n")
	n, err := strconv.Atoi(lines[0])
	if err != nil {
		return fmt.Errorf("torn counter: %w", err)
	}
	lines[0] = strconv.Itoa(n + 1)
	changed, err := d.Write("counter", []byte(strings.Join(append(lines, id), "\n")))
	if err == nil && !changed {
		err = errors.New("an increment changed nothing")
	}
	return err
}

func TestProcessesLoseNothing(t *testing.T) {
	const processes, runs = 8, 50
	d := store.Open(filepath.Join(t.TempDir(), "generated"))
	unlock := lock(t, d)
	write(t, d, "counter", []byte("0"), true)
	var cmds []*exec.Cmd
	for range processes {
		cmd := child(t, "count", d.Path(), strconv.Itoa(runs))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		cmds = append(cmds, cmd)
	}
	unlock() // all begin together
	var want []string
	for _, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		for i := range runs {
			want = append(want, fmt.Sprintf("%d/%d", cmd.Process.Pid, i))
		}
	}
	data, err := d.Read("counter")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(data), "\n")
	if lines[0] != strconv.Itoa(processes*runs) {
		t.Errorf("the counter is %s, want %d", lines[0], processes*runs)
	}
	got := lines[1:]
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d increments are listed, want each of %d once", len(got), len(want))
	}
	wantNames(t, d.Path(), "counter")
}
