package endtoend_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
	"github.com/woolwichweb/hostenv-provider/internal/fleet"
)

// The first deploy of a fleet, then one of an unchanged fleet, then one of a new
// version of one environment.
func TestDeploy(t *testing.T) {
	backEnds(t, func(t *testing.T, programs string) {
		w := newWorld(t, programs, fleet.Options{Nodes: 2, Environments: 2})
		first := w.wants(w.deploy(), 0)
		paths := w.Provider.Paths(t)
		w.atPlan(paths, 1)
		contains(t, first.stdout, "6 activated")
		for _, n := range w.Nodes {
			for _, user := range n.Users() {
				if got := w.deployedNode(user); got != n.Name {
					t.Errorf("the state has %s on %q, want %s", user, got, n.Name)
				}
			}
		}
		w.wants(w.run("status"), 0)

		w.ResetCounts(t)
		second := w.wants(w.deploy(), 0)
		contains(t, second.stdout, "6 in sync")
		w.atPlan(paths, 1)
		t.Logf("an unchanged fleet of 2 nodes: %v", w.Counts(t))

		user := w.Nodes[0].Users()[0]
		old := w.Nodes[0].Active(t, user)
		w.Provider.SetVersion(t, "2", "n1/"+user)
		behind := w.wants(w.run("status"), 2)
		contains(t, behind.stdout, "behind")
		contains(t, behind.stderr, "Error: something is not in sync\n")
		preview := w.wants(w.deploy("-plan", "-detailedExitcode"), 2)
		contains(t, preview.stderr, "Error: the preview ended with 2\n")
		third := w.wants(w.deploy(), 0)
		contains(t, third.stdout, "1 activated, 5 in sync")
		if now := w.Provider.Paths(t)["n1/"+user]; w.Nodes[0].Active(t, user) != now || now == old {
			t.Errorf("%s is at %s after %s, want %s", user, w.Nodes[0].Active(t, user), old, now)
		}
		w.wants(w.run("status"), 0)
	})
}

// A run was killed after it reported its end, but before it wrote to the state
// where the environments are. Resuming it only writes the state.
func TestKilledBeforeState(t *testing.T) {
	w := newWorld(t, standIn(t), fleet.Options{Nodes: 1, Environments: 1})
	user := w.Nodes[0].Users()[0]
	generated := filepath.Join(w.Provider.Dir, "generated")
	before := map[string][]byte{}
	for _, name := range []string{"state.json", "plan.json"} {
		text, err := os.ReadFile(filepath.Join(generated, name))
		if err != nil {
			t.Fatal(err)
		}
		before[name] = text
	}
	w.wants(w.deploy(), 0)
	for name, text := range before {
		if err := os.WriteFile(filepath.Join(generated, name), text, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.deployedNode(user); got != "" {
		t.Fatalf("the state has %s on %q before it was deployed", user, got)
	}
	w.wants(w.deploy("-resume"), 0)
	if got := w.deployedNode(user); got != "n1" {
		t.Errorf("the state has %s on %q, want n1", user, got)
	}
	w.atPlan(w.Provider.Paths(t), 1)
	contains(t, w.wants(w.deploy("-resume"), 1).stderr, "nothing to resume")
}

// A run that cannot write the state still reports its outcome. Resuming it writes
// the state.
func TestStateIsLocked(t *testing.T) {
	w := newWorld(t, standIn(t), fleet.Options{Nodes: 1, Environments: 1})
	user := w.Nodes[0].Users()[0]
	lock, err := os.OpenFile(filepath.Join(w.Provider.Dir, "generated", ".hostenv.lock"), os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	r := w.deploy()
	if r.code == 0 {
		t.Errorf("the run is done, although it did not write the state: %s", r)
	}
	contains(t, r.stdout, "n1    system", "2 activated")
	contains(t, r.stderr, "error: record which node each environment is on", "hint: run `mage deploy -resume` to record it")
	w.atPlan(w.Provider.Paths(t), 1)
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	w.wants(w.deploy("-resume"), 0)
	if got := w.deployedNode(user); got != "n1" {
		t.Errorf("the state has %s on %q, want n1", user, got)
	}
	w.atPlan(w.Provider.Paths(t), 1)
}

// A run completes even if the reader of its output has ended, as with
// `mage deploy | head -1`.
func TestReaderGone(t *testing.T) {
	w := newWorld(t, standIn(t), fleet.Options{Nodes: 1, Environments: 1})
	for i, flags := range [][]string{{"-json"}, nil} {
		w.Provider.SetVersion(t, fmt.Sprint(2+i))
		from, to, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd := w.command(w.deployArgs(flags...)...)
		cmd.Stdout, cmd.Stderr = to, to
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		_, err = bufio.NewReader(from).ReadString('\n')
		if err := errors.Join(err, to.Close(), from.Close()); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%q: %v", flags, err)
		}
		if o := w.outcome(); !o.Ended || o.Code() != 0 {
			t.Errorf("%q: exit code %d, ended: %v", flags, o.Code(), o.Ended)
		}
		w.atPlan(w.Provider.Paths(t), 1)
	}
}

// deployedNode returns the node that the state has for an environment. The plan
// must belong to the state.
func (w *world) deployedNode(user string) string {
	w.t.Helper()
	read := func(name string) []byte {
		text, err := os.ReadFile(filepath.Join(w.Provider.Dir, "generated", name))
		if err != nil {
			w.t.Fatal(err)
		}
		return text
	}
	s, err := state.Decode(read("state.json"))
	if err != nil {
		w.t.Fatal(err)
	}
	if err := plan.CheckFresh(read("plan.json"), s); err != nil {
		w.t.Error(err)
	}
	return s.Entries[user].DeployedNode
}
