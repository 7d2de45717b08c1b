package endtoend_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/internal/fleet"
)

// Of two deploys at once, the second ends with 5, or waits and then finds every
// profile in sync.
func TestTwoDrivers(t *testing.T) {
	backEnds(t, func(t *testing.T, programs string) {
		g := newGround(t, programs, fleet.Options{Nodes: 1, Environments: 1})
		another := func(t *testing.T) string {
			other := filepath.Join(filepath.Dir(g.Provider.Dir), "another")
			if out, err := exec.Command("cp", "-a", g.Provider.Dir+"/.", other).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			g.must(os.RemoveAll(filepath.Join(other, "generated", ".hostenv")))
			return other
		}
		same := func(*testing.T) string { return g.Provider.Dir }
		for _, test := range []struct {
			reason string
			dir    func(t *testing.T) string
			says   string
		}{
			{"of one checkout", same, "another deploy is running here: root@"},
			{"of two checkouts", another, "node n1 is being deployed to by root@"},
		} {
			g.try(test.reason, func(t *testing.T) {
				checkout, dir := g.Provider.Dir, test.dir(t)
				g.n.OnActivation(t, g.user, fleet.Behaviour{Block: true})
				first := g.start(g.deployArgs()...)
				g.n.WaitBlocked(t, g.user)

				g.Provider.Dir = dir
				refused := g.wants(g.deploy(), deploy.ExitLocked)
				contains(t, refused.stderr, test.says, "-lockWait=")
				made, _ := g.n.Connections()
				waiting := g.start(g.deployArgs("-lockWait=1h")...)
				waiting.until("its turn to wait", func() bool {
					if dir == checkout {
						return held(t, filepath.Join(checkout, "generated", ".hostenv", "deploy.lock"), waiting.Process.Pid)
					}
					now, _ := g.n.Connections()
					return now > made
				})
				g.n.OnActivation(t, g.user, fleet.Behaviour{})
				g.wants(first.wait(), 0)
				second := g.wants(waiting.wait(), 0)
				contains(t, second.stdout, "2 in sync")
				g.atPlan(g.planned, 1)
			})
		}
		g.try("one of which was killed", func(t *testing.T) {
			checkout, other := g.Provider.Dir, another(t)
			g.n.OnActivation(t, g.user, fleet.Behaviour{Block: true})
			first := g.start(g.deployArgs()...)
			g.n.WaitBlocked(t, g.user)
			first.kill(false)
			// Its deploy-rs still has the lock here. Elsewhere only the node shows it.
			g.wants(g.deploy(), deploy.ExitLocked)
			g.Provider.Dir = other
			second := g.start(g.deployArgs("-lockWait=1h")...)
			second.until("that it waits", func() bool {
				return slices.ContainsFunc(second.events(), func(e deploy.Event) bool { return e.State == deploy.StateWaiting })
			})
			g.n.OnActivation(t, g.user, fleet.Behaviour{})
			contains(t, g.wants(second.wait(), 0).stdout, "2 in sync")
			g.atPlan(g.planned, 1)
			g.Provider.Dir = checkout
			g.wants(g.deploy("-resume", "-lockWait=1h"), 0)
			g.atPlan(g.planned, 1)
		})
	})
}

// held reports whether a process has a file open. A process that waits for a lock
// has the lock file open.
func held(t *testing.T, file string, pid int) bool {
	t.Helper()
	dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		if to, err := os.Readlink(filepath.Join(dir, entry.Name())); err == nil && to == file {
			return true
		}
	}
	return false
}

// After one Ctrl-C, deploy completes the activation that runs and reports the rest.
// After a second one it stops at once. -resume continues after both.
func TestInterrupted(t *testing.T) {
	backEnds(t, func(t *testing.T, programs string) {
		g := newGround(t, programs, fleet.Options{Nodes: 1, Environments: 2, Inventory: oneAtATime})
		signal := func(s syscall.Signal) func(p *process) { return func(p *process) { p.signal(s) } }
		// A terminal sends the signal to the whole group.
		group := func(p *process) { _ = syscall.Kill(-p.Process.Pid, syscall.SIGINT) }
		for _, test := range []struct {
			reason string
			stop   func(p *process)
			twice  bool
		}{
			{"Ctrl-C, the process alone", signal(syscall.SIGINT), false},
			{"Ctrl-C at a terminal", group, false},
			{"SIGTERM", signal(syscall.SIGTERM), false},
			{"the terminal goes away", func(p *process) { _ = syscall.Kill(-p.Process.Pid, syscall.SIGHUP) }, false},
			{"Ctrl-C twice", group, true},
			{"SIGTERM twice", signal(syscall.SIGTERM), true},
		} {
			g.try(test.reason, func(t *testing.T) {
				g.n.OnActivation(t, g.user, fleet.Behaviour{Block: true})
				p := g.start(g.deployArgs()...)
				g.n.WaitBlocked(t, g.user)
				test.stop(p)
				p.until("that it stops", func() bool { return strings.Contains(p.result().stderr, "interrupted") })
				in, reason := deploy.StateActive, deploy.Reason("")
				if test.twice {
					in, reason = deploy.StateUnknown, deploy.ReasonInterrupted
					test.stop(p)
					p.wait() // the process ends although the activation goes on
				} else {
					g.n.OnActivation(t, g.user, fleet.Behaviour{})
				}
				r := g.wants(p.wait(), deploy.ExitInterrupted)
				o := g.agrees(r, g.planned)
				want := []struct {
					state  deploy.State
					reason deploy.Reason
				}{{deploy.StateActive, ""}, {in, reason}, {deploy.StateSkipped, deploy.ReasonInterrupted}}
				for i, p := range o.Profiles {
					if p.State != want[i].state || p.Reason != want[i].reason {
						t.Errorf("%s is %s (%s), want %+v", p.Profile, p.State, p.Reason, want[i])
					}
				}
				g.n.OnActivation(t, g.user, fleet.Behaviour{})
				again := g.wants(g.deploy("-resume", "-lockWait=1h"), 0)
				g.agrees(again, g.planned)
				g.statusAgrees(g.planned)
				k := &killing{ground: g}
				k.explained(g.old)
			})
		}
	})
}

// oneAtATime lets the node activate one environment after the other.
func oneAtATime(inventory map[string]any) {
	provider := inventory["provider"].(map[string]any)
	provider["nodes"].(map[string]any)["n1"].(map[string]any)["activations"] = 1
}

// A deploy that waits for another one stops at the first Ctrl-C and begins no run.
func TestInterruptedWhileItWaits(t *testing.T) {
	g := newGround(t, standIn(t), fleet.Options{Nodes: 2, Environments: 1})
	for reason, ofCheckout := range map[string]bool{"for the node": false, "for the checkout": true} {
		g.try(reason, func(t *testing.T) {
			file, checkout := lockFile(g.n), filepath.Join(g.Provider.Dir, "generated", ".hostenv", "deploy.lock")
			if ofCheckout {
				file = checkout
			}
			lock, err := os.OpenFile(file, os.O_RDWR, 0)
			g.must(err)
			defer lock.Close()
			g.must(syscall.Flock(int(lock.Fd()), syscall.LOCK_EX))
			p := g.start(g.deployArgs("-lockWait=1h")...)
			p.until("its turn to wait", func() bool {
				if ofCheckout {
					return held(t, checkout, p.Process.Pid)
				}
				return g.entered(p, deploy.StateWaiting)
			})
			p.signal(syscall.SIGINT)
			r := g.wants(p.wait(), deploy.ExitInterrupted)
			g.must(lock.Close())
			how := []string{"-resume"}
			if ofCheckout {
				how = nil // there was no run
			} else {
				for _, f := range g.outcome().Findings {
					t.Errorf("found %q", f.Finding.Message)
				}
			}
			if again := g.deploy(how...); again.code != 0 {
				t.Errorf("%s\nafter %s", again, r)
			}
			g.atPlan(g.planned, 1)
		})
	}
}

// When the time of Mage's -t is over, the process ends. Activations that it has
// begun complete without it, and another run resumes.
func TestTimeIsUp(t *testing.T) {
	backEnds(t, func(t *testing.T, programs string) {
		g := newGround(t, programs, fleet.Options{Nodes: 1, Environments: 1})
		g.Reset(t, g.old)
		began := time.Now()
		g.wants(g.deploy(), 0)
		// Long enough to reach an activation at the speed measured before. If the machine
		// has become slower, the test tries again.
		limit := max(12*time.Second, 3*time.Since(began)).Round(time.Second)
		var p *process
		for came := false; !came; limit *= 2 {
			g.Reset(t, g.old)
			g.n.OnActivation(t, g.user, fleet.Behaviour{Block: true})
			p = g.start(append([]string{"-t", limit.String()}, g.deployArgs()...)...)
			blocked := func() bool {
				begun := g.n.Activations(t, g.user)
				return len(begun) > 0 && begun[len(begun)-1].Blocked
			}
			came = !p.until("an activation, or the end of its time", blocked)
			if !came {
				g.n.OnActivation(t, g.user, fleet.Behaviour{})
				g.must(g.Check()) // the activations have ended
			}
		}
		r := p.wait()
		if r.code != 1 || g.outcome().Ended {
			t.Errorf("the run ended as if it was complete: %s", r)
		}
		g.n.OnActivation(t, g.user, fleet.Behaviour{})
		again := g.wants(g.deploy("-resume", "-lockWait=1h"), 0)
		g.agrees(again, g.planned)
		g.atPlan(g.planned, 1)
	})
}
