package deploy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// activatedAt records when each activation begins.
func activatedAt(w *world) map[string]time.Duration {
	at, begun := map[string]time.Duration{}, time.Now()
	w.fault = func(op, node, profile string) fault {
		if op == "activate" {
			at[node+"/"+profile] = time.Since(begun).Round(time.Second)
		}
		return none
	}
	return at
}

// A build that takes long holds its own profile, and what must follow that.
func TestSlowBuild(t *testing.T) {
	const hour = time.Hour
	for _, test := range []struct {
		reason string
		remote bool // whether all nodes build for themselves
		slow   map[string]time.Duration
		waves  string
		want   map[string]time.Duration // those that are not activated at once
	}{
		{reason: "an environment", slow: map[string]time.Duration{"n1/env1-n1": hour}, want: map[string]time.Duration{"n1/env1-n1": hour}},
		{reason: "environments, one after the other", slow: map[string]time.Duration{"n1/env1-n1": hour, "n2/env1-n2": 2 * hour, "n2/env2-n2": 2 * hour},
			want: map[string]time.Duration{"n1/env1-n1": hour, "n2/env1-n2": 2 * hour, "n2/env2-n2": 2 * hour}},
		{reason: "a system", slow: map[string]time.Duration{"n1/system": hour, "n1/env1-n1": time.Minute},
			want: map[string]time.Duration{"n1/system": hour, "n1/env1-n1": hour, "n1/env2-n1": hour}},
		{reason: "an environment of a wave", slow: map[string]time.Duration{"n1/env1-n1": hour}, waves: "n1",
			want: map[string]time.Duration{"n1/env1-n1": hour, "n2/system": hour, "n2/env1-n2": hour, "n2/env2-n2": hour}},
		{reason: "an environment of the last wave", slow: map[string]time.Duration{"n2/env1-n2": hour}, waves: "n1",
			want: map[string]time.Duration{"n2/env1-n2": hour}},
		{reason: "an environment, on nodes that build", remote: true, slow: map[string]time.Duration{"n1/env1-n1": hour}, want: map[string]time.Duration{"n1/env1-n1": hour}},
		{reason: "a system, on nodes that build", remote: true, slow: map[string]time.Duration{"n1/system": hour},
			want: map[string]time.Duration{"n1/system": hour, "n1/env1-n1": hour, "n1/env2-n1": hour}},
	} {
		t.Run(test.reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				nodes := fleet(2, 2)
				for i := range nodes {
					nodes[i].RemoteBuild = test.remote
				}
				w := newWorld(t, nodes)
				w.slow = test.slow
				at := activatedAt(w)
				r := w.runner(t.TempDir(), "")
				r.Options.Jobs = 1 // a node that builds does not hold the copies
				o := w.inWaves(nodes, r, test.waves)
				want := map[string]time.Duration{}
				for _, n := range nodes {
					for _, p := range n.Profiles {
						want[p.Key()] = test.want[p.Key()]
					}
				}
				if diff := cmp.Diff(want, at); diff != "" || o.Code() != deploy.ExitDone {
					t.Errorf("exit code %d, %v\n%s", o.Code(), states(o), diff)
				}
				if processes := map[bool]int{false: 1, true: 2}[test.remote]; w.builds != processes {
					t.Errorf("%d build processes", w.builds)
				}
				checkStates(t, r.Journal.Events())
			})
		})
	}
}

// checkStates checks that each profile passes through its states in their order.
func checkStates(t *testing.T, events []deploy.Event) {
	t.Helper()
	order := []deploy.State{deploy.StatePending, deploy.StateBuilding, deploy.StateSigning, deploy.StatePushing, deploy.StatePushed, deploy.StateActivating, deploy.StateActive}
	last := map[string]int{}
	for _, e := range events {
		if e.Type != deploy.TypeProfile {
			continue
		}
		key, i := e.Node+"/"+e.Profile, slices.Index(order, e.State)
		if before, ok := last[key]; i < 0 || ok && i <= before {
			t.Errorf("%s is %s after %s", key, e.State, order[before])
		}
		last[key] = max(i, 0)
	}
}

// All builds are fast: what is found together is signed and copied together.
func TestFastBuildsAreOneBatch(t *testing.T) {
	nodes := fleet(3, 5)
	w := newWorld(t, nodes)
	w.deploy(nodes)
	count := map[string]int{}
	for _, did := range w.done {
		op, _, _ := strings.Cut(did, " ")
		count[op]++
	}
	if w.builds != 1 || count["sign"] != 1 || count["push"] != 3 || count["hold"] != 3 {
		t.Errorf("%d builds, %v", w.builds, count)
	}
}

// A run that is stopped while something is built ends at once: what is active stays, the
// rest is skipped, and a resumed run goes on.
func TestStopWhileOneIsBuilt(t *testing.T) {
	for _, slow := range []string{"n1/env1-n1", "n1/system"} {
		t.Run(slow, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				nodes := fleet(2, 2)
				w := newWorld(t, nodes)
				w.slow = map[string]time.Duration{slow: time.Hour}
				dir, begun := t.TempDir(), time.Now()
				r := w.runner(dir, "")
				stop := make(chan struct{})
				r.Stop = stop
				time.AfterFunc(time.Minute, func() { close(stop) })
				o, err := r.Run(t.Context(), deploy.Deploy, nodes, nodes)
				if err != nil || o.Code() != deploy.ExitInterrupted || time.Since(begun) > 2*time.Minute {
					t.Errorf("exit code %d after %v: %v", o.Code(), time.Since(begun), err)
				}
				w.agrees(nodes, o)
				for key, state := range states(o) {
					want := "active"
					if key == slow || slow == "n1/system" && strings.HasPrefix(key, "n1/") {
						want = "skipped interrupted"
					}
					if state != want {
						t.Errorf("%s is %s, not %s", key, state, want)
					}
				}
				w.slow = nil
				again, err := w.runner(dir, r.Journal.ID).Run(t.Context(), deploy.Deploy, nodes, nodes)
				if err != nil || again.Code() != deploy.ExitDone {
					t.Errorf("resumed: exit code %d, %v: %v", again.Code(), states(again), err)
				}
				w.agrees(nodes, again)
			})
		})
	}
}

// The run does not wait for a build that no profile needs any more: a wave before its own
// failed.
func TestSlowBuildOfAWaveThatIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := fleet(2, 1)
		w := newWorld(t, nodes)
		w.slow = map[string]time.Duration{"n2/env1-n2": time.Hour}
		begun := time.Now()
		w.fault = func(op, node, _ string) fault {
			if op == "activate" && node == "n1" {
				return fails
			}
			return none
		}
		o := w.inWaves(nodes, w.runner(t.TempDir(), ""), "n1")
		want := map[string]string{"n1/system": "failed activation", "n1/env1-n1": "skipped system-failed", "n2/system": "skipped wave", "n2/env1-n2": "skipped wave"}
		if diff := cmp.Diff(want, states(o)); diff != "" || time.Since(begun) > time.Minute {
			t.Errorf("after %v: %s", time.Since(begun), diff)
		}
	})
}

// A build that fails late fails its profile; what is built before is active by then.
func TestSlowBuildFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := fleet(2, 1)
		w := newWorld(t, nodes)
		w.slow = map[string]time.Duration{"n1/system": time.Hour, "n2/env1-n2": 2 * time.Hour}
		w.fault = func(op, node, profile string) fault {
			if op == "build" && (node+"/"+profile == "n1/system" || node+"/"+profile == "n2/env1-n2") {
				return fails
			}
			return none
		}
		want := map[string]string{"n1/system": "failed build", "n1/env1-n1": "skipped system-failed", "n2/system": "active", "n2/env1-n2": "failed build"}
		if diff := cmp.Diff(want, states(w.deploy(nodes))); diff != "" {
			t.Error(diff)
		}
	})
}

// Each batch is copied only if the node has room for it.
func TestRoomForALateBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := fleet(1, 2)
		w := newWorld(t, nodes)
		w.slow = map[string]time.Duration{"n1/env2-n1": time.Hour}
		w.nodes["n1"].disks = map[string]deploy.Disk{deploy.FolderStore: {ID: 1, Free: 100 << 20, Files: -1}}
		time.AfterFunc(time.Minute, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.nodes["n1"].disks = map[string]deploy.Disk{deploy.FolderStore: {ID: 1, Free: 9 << 20, Files: -1}}
		})
		o := w.deploy(nodes)
		want := map[string]string{"n1/system": "active", "n1/env1-n1": "active", "n1/env2-n1": "failed no-room"}
		if diff := cmp.Diff(want, states(o)); diff != "" {
			t.Error(diff)
		}
		if pushes := len(slices.DeleteFunc(w.done, func(did string) bool { return did != "push n1/" })); pushes != 1 {
			t.Error(fmt.Sprint(pushes, " copies were begun"))
		}
	})
}
