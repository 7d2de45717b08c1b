package closure_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/closure"
	hostnix "github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/internal/killtest"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

func init() { programs["keep-to-kill"] = keepToKill }

// keepToKill is a program that keeps a result on one thread: in the folder of its first
// argument, by the key and with the text of the files of the others.
func keepToKill() {
	runtime.LockOSThread()
	key, err := os.ReadFile(os.Args[2])
	text, unread := os.ReadFile(os.Args[3])
	if err := errors.Join(err, unread); err != nil {
		panic(err)
	}
	memory := (&hostnix.Runner{Evaluations: os.Args[1]}).Memory()
	killtest.Mark()
	memory.Put(string(key), text)
	killtest.Mark()
}

// Wherever a run is killed while it keeps a result, the result is there whole or not at
// all, and the next run gives what a cold one gives. What the killed run has begun to
// write is removed once no run can still be writing it.
func TestKeptKilledBeforeEverySyscall(t *testing.T) {
	binaries := testenv.NixBinaries(t)
	g := newGround(t, binaries[len(binaries)-1])
	var key string
	closure.AlterKeys(t, func(parts map[string]any) {
		if parts["node"] == "node-a" {
			text, err := json.Marshal(parts)
			g.check(err)
			key = string(text)
		}
	})
	want := g.evaluate(g.runner("kept"))
	result := g.runner("kept").Memory().Get(key)
	if key == "" || result == nil || want[together] != "" {
		t.Fatalf("the run kept no system of node-a: %v", want)
	}
	g.write("key", key)
	g.write("result", string(result))
	// prepare makes a folder with all that the run kept but this result.
	folders := 0
	prepare := func() (name string) {
		folders++
		name = fmt.Sprint("killed-", folders)
		folder := filepath.Join(g.dir, name)
		g.check(os.CopyFS(folder, os.DirFS(filepath.Join(g.dir, "kept"))))
		files, err := os.ReadDir(folder)
		g.check(err)
		for _, file := range files {
			if text, err := os.ReadFile(filepath.Join(folder, file.Name())); err == nil && string(text) == string(result) {
				g.check(os.Remove(filepath.Join(folder, file.Name())))
			}
		}
		if g.runner(name).Memory().Get(key) != nil {
			t.Fatal("the result is still there")
		}
		return name
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	g.check(err)
	defer null.Close()
	kill := func(k int, name string) (calls []uint64, done bool) {
		t.Helper()
		env := append(os.Environ(), "GODEBUG=asyncpreemptoff=1", "GOGC=off")
		argv := []string{"keep-to-kill", filepath.Join(g.dir, name), filepath.Join(g.dir, "key"), filepath.Join(g.dir, "result")}
		calls, done, err := killtest.Before(k, argv, env, null.Fd())
		if errors.Is(err, killtest.ErrNoTrace) {
			testenv.LeaveOut(t, "ptrace", "cannot kill a process between system calls: %v", err)
		}
		g.check(err)
		return calls, done
	}

	whole := prepare()
	all, done := kill(1<<30, whole)
	if got := g.runner(whole).Memory().Get(key); !done || string(got) != string(result) || !slices.Contains(all, unix.SYS_WRITE) {
		t.Fatalf("the whole run makes %d calls and keeps %s", len(all), got)
	}
	outcomes := map[string]int{}
	var left []string
	for k := 1; k <= len(all); k++ {
		name := prepare()
		if _, done := kill(k, name); done {
			break
		}
		switch got := g.runner(name).Memory().Get(key); {
		case got == nil:
			outcomes["none"]++
		case string(got) == string(result):
			outcomes["whole"]++
		default:
			t.Fatalf("killed before call %d of %d: the run kept %q", k, len(all), got)
		}
		files, err := filepath.Glob(filepath.Join(g.dir, name, "new-*"))
		g.check(err)
		left = append(left, files...)
		if diff := cmp.Diff(want, g.evaluate(g.runner(name))); diff != "" {
			t.Fatalf("killed before call %d of %d: the next run (-cold +next):\n%s", k, len(all), diff)
		}
		if string(g.runner(name).Memory().Get(key)) != string(result) {
			t.Fatalf("killed before call %d of %d: the next run kept another result", k, len(all))
		}
	}
	if outcomes["none"] == 0 || len(left) == 0 {
		t.Fatalf("no kill was in the middle of the write: %v, %q", outcomes, left)
	}
	for i, age := range []time.Duration{time.Minute, 2 * time.Hour} {
		at := time.Now().Add(-age)
		g.check(os.Chtimes(left[0], at, at))
		name, _, _ := strings.Cut(strings.TrimPrefix(left[0], g.dir+"/"), "/")
		g.runner(name).Memory()
		if _, err := os.Stat(left[0]); (err == nil) != (i == 0) {
			t.Errorf("what a run began to write %v ago: %v", age, err)
		}
	}
	t.Logf("killed before each of %d system calls: %v; %d files were left", len(all), outcomes, len(left))
}
