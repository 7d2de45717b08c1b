package targets_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/woolwichweb/hostenv-provider/examples"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// An evaluating is a provider whose nodes a test builds, by a Nix that can kill a run.
type evaluating struct {
	t   *testing.T
	dir string
	env []string
}

// killing is a nix. It counts the evaluations, and kills the run that the file `victim`
// names at the evaluation that the file `at` names: before it, or if the file `after` is
// there, when it has ended.
const killing = `#!/bin/sh
if [ "$1" = eval ] && [ -d DIR/count ]; then
  n=1
  until mkdir DIR/count/$n 2>/dev/null; do n=$((n + 1)); done
  if [ "$n" = "$(cat DIR/at)" ]; then
    if [ -e DIR/after ]; then NIX "$@" >/dev/null 2>&1; fi
    kill -KILL "$(cat DIR/victim)"
  fi
fi
exec NIX "$@"
`

func newEvaluating(t *testing.T) *evaluating {
	t.Helper()
	testenv.Need(t, "git")
	binaries := testenv.NixBinaries(t)
	nix, err := exec.LookPath(binaries[len(binaries)-1])
	if err == nil {
		nix, err = filepath.EvalSymlinks(nix)
	}
	if err != nil {
		t.Fatal(err)
	}
	e := &evaluating{t: t, dir: testenv.NixDir(t)}
	e.env = append(testenv.NixEnv(e.dir), "NIX_REMOTE=local", "NIX_STORE_DIR="+e.dir+"/store", "NIX_STATE_DIR="+e.dir+"/var", "NIX_LOG_DIR="+e.dir+"/log")
	e.check(examples.Make(t.Context(), e.dir+"/repos", examples.Options{Library: root(t), Nix: nix, Env: e.env}))
	tools := filepath.Join(e.dir, "tools")
	e.check(os.Mkdir(tools, 0o700))
	e.check(os.WriteFile(filepath.Join(tools, "nix"), []byte(strings.NewReplacer("DIR", e.dir, "NIX", nix).Replace(killing)), 0o700))
	e.check(os.Symlink(nix, filepath.Join(tools, "nix-store")))
	// Without bubblewrap, in whose namespace no other process can be killed.
	for _, name := range []string{"git", "sh", "ssh", "cat", "mkdir"} {
		path, err := exec.LookPath(name)
		e.check(err)
		e.check(os.Symlink(path, filepath.Join(tools, name)))
	}
	e.check(os.Symlink(filepath.Join(compile(t), "hostenv-provider"), filepath.Join(tools, "hostenv-provider")))
	e.env = append(e.env, "PATH="+tools)
	e.done(e.start("state:init"))
	e.done(e.start("plan"))
	e.done(e.command("git", "add", "--all"))
	return e
}

func (e *evaluating) check(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}

func (e *evaluating) file(name string) string { return filepath.Join(e.dir, name) }

// A started is a program that runs.
type started struct {
	*exec.Cmd
	stdout, stderr bytes.Buffer
}

func (e *evaluating) command(program string, args ...string) *started {
	e.t.Helper()
	path := filepath.Join(e.dir, "tools", program)
	s := &started{Cmd: exec.CommandContext(e.t.Context(), path, args...)}
	s.Dir, s.Env, s.Stdout, s.Stderr = filepath.Join(e.dir, "repos/provider"), e.env, &s.stdout, &s.stderr
	e.check(s.Start())
	return s
}

func (e *evaluating) start(args ...string) *started {
	e.t.Helper()
	return e.command("hostenv-provider", args...)
}

// done waits for a program, which must not fail, and returns what it printed.
func (e *evaluating) done(s *started) string {
	e.t.Helper()
	if err := s.Wait(); err != nil {
		e.t.Fatalf("%q: %v\n%s%s", s.Args, err, s.stdout.String(), s.stderr.String())
	}
	return s.stdout.String()
}

// forget forgets what former runs evaluated.
func (e *evaluating) forget() {
	e.t.Helper()
	e.check(os.RemoveAll(filepath.Join(e.dir, "repos/provider/generated/.hostenv/evaluations")))
}

// count begins to count evaluations anew; the run that startVictim starts is killed at one
// of them, at none if that is 0.
func (e *evaluating) count(at int, after bool) {
	e.t.Helper()
	e.check(os.RemoveAll(e.file("count")))
	e.check(os.WriteFile(e.file("at"), []byte(strconv.Itoa(at)), 0o600))
	e.check(os.RemoveAll(e.file("after")))
	if after {
		e.check(os.WriteFile(e.file("after"), nil, 0o600))
	}
	e.check(os.Mkdir(e.file("count"), 0o700))
}

func (e *evaluating) counted() int {
	e.t.Helper()
	entries, err := os.ReadDir(e.file("count"))
	e.check(err)
	return len(entries)
}

// startVictim builds all nodes, in a run that the evaluation can kill.
func (e *evaluating) startVictim() *started {
	e.t.Helper()
	return e.command("sh", "-c", "echo $$ >"+e.file("victim")+"; exec hostenv-provider nodesBuild all")
}

// left returns the processes that belong to the provider.
func (e *evaluating) left() (processes []string) {
	e.t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/environ")
	e.check(err)
	for _, file := range all {
		if text, err := os.ReadFile(file); err == nil && bytes.Contains(text, []byte(e.dir+"/")) { // else it has ended
			command, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
			processes = append(processes, fmt.Sprintf("%s %q", file, command))
		}
	}
	return processes
}

// Wherever a run is killed during its evaluation, no process of it stays, and the next run
// waits for nothing, gives what a cold one gives, and evaluates no more than that.
func TestKilledDuringEvaluation(t *testing.T) {
	e := newEvaluating(t)
	e.count(0, false)
	want := e.done(e.startVictim())
	cold := e.counted()
	if lines := strings.Count(want, "\n"); lines < 4 || cold < 4 {
		t.Fatalf("a cold run makes %d evaluations, and prints\n%s", cold, want)
	}
	e.count(0, false)
	if again := e.done(e.startVictim()); again != want || e.counted() != 0 {
		t.Fatalf("with nothing changed, a run makes %d evaluations, and prints\n%s", e.counted(), again)
	}
	var spared []int
	for at := 1; at <= cold; at++ {
		e.forget()
		e.count(at, at%2 == 0)
		victim := e.startVictim()
		err := victim.Wait()
		if status, ok := victim.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
			t.Fatalf("at evaluation %d of %d the run was not killed: %v\n%s", at, cold, err, victim.stderr.String())
		}
		testenv.Await(t, "the end of the processes of a run that was killed", func() bool { return len(e.left()) == 0 })
		e.count(0, false)
		if next := e.done(e.start("nodesBuild", "all")); next != want {
			t.Errorf("killed at evaluation %d of %d: the next run prints\n%s\nand a cold one\n%s", at, cold, next, want)
		}
		if e.counted() > cold {
			t.Errorf("killed at evaluation %d of %d: the next run makes %d", at, cold, e.counted())
		}
		spared = append(spared, cold-e.counted())
	}
	if slices.Max(spared) == 0 {
		t.Error("no run has used what the killed one evaluated")
	}
	t.Logf("killed at each of %d evaluations: the next run makes fewer by %v", cold, spared)

	// Two runs at once, of which one may be killed.
	for _, at := range []int{0, 3} {
		e.forget()
		e.count(at, false)
		victim, other := e.startVictim(), e.start("nodesBuild", "all")
		err := victim.Wait()
		if got := e.done(other); got != want {
			t.Errorf("beside another run, one prints\n%s\nand a cold one\n%s", got, want)
		}
		if at == 0 && (err != nil || victim.stdout.String() != want) {
			t.Errorf("beside another run, one ends with %v, and prints\n%s%s", err, victim.stdout.String(), victim.stderr.String())
		}
		if at > 0 && err == nil {
			t.Error("the run was not killed")
		}
		if next := e.done(e.start("nodesBuild", "all")); next != want {
			t.Errorf("after two runs at once, one prints\n%s\nand a cold one\n%s", next, want)
		}
	}
	testenv.Await(t, "the end of all processes", func() bool { return len(e.left()) == 0 })
}
