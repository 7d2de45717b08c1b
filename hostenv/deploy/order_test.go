package deploy_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// A deploy of a changed fleet takes at most 1.3 times its critical path: the builds, a
// copy, a system and then an environment. The times are those of a clock that stands
// still while anything works, so that the figures are of the order alone.
func TestCriticalPath(t *testing.T) {
	for _, activation := range []time.Duration{time.Second, 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			nodes := fleet(8, 5)
			w := newWorld(t, nodes)
			takes := map[string]time.Duration{
				"open": 200 * time.Millisecond, "observe": 50 * time.Millisecond, "build": 3 * time.Second, "sign": 100 * time.Millisecond,
				"push": time.Second, "activate": activation,
			}
			w.takes = func(op, _ string) { time.Sleep(takes[op]) }
			begun := time.Now()
			o := w.deploy(nodes)
			took := time.Since(begun)
			if o.Code() != deploy.ExitDone {
				t.Errorf("exit code %d, %v", o.Code(), states(o))
			}
			// With 4 copies at once, the last node waits for one other.
			critical := takes["open"] + takes["build"] + takes["sign"] + 2*takes["push"] + 2*takes["activate"]
			if t.Logf("%s for a critical path of %s", took, critical); took > critical*13/10 {
				t.Errorf("it takes %s, and the critical path %s", took, critical)
			}
		})
	}
}

// The environments of a node are activated at once, as many as the node takes. A copy
// waits neither for them nor for the builds of another run of the pool.
func TestActivationsAtOnce(t *testing.T) {
	for _, test := range []struct{ set, want int }{{0, 8}, {1, 1}, {3, 3}, {20, 10}} {
		synctest.Test(t, func(t *testing.T) {
			nodes := fleet(1, 10)
			nodes[0].Activations = test.set
			w := newWorld(t, nodes)
			var mu sync.Mutex
			now, most := 0, 0
			w.takes = func(op, _ string) {
				if op != "activate" {
					return
				}
				mu.Lock()
				now++
				most = max(most, now)
				mu.Unlock()
				time.Sleep(time.Second)
				mu.Lock()
				now--
				mu.Unlock()
			}
			o := w.deploy(nodes)
			if o.Code() != deploy.ExitDone || most != test.want {
				t.Errorf("with %d: %d at once, want %d; exit code %d", test.set, most, test.want, o.Code())
			}
		})
	}
}

// All nodes that do not build for themselves are built for with one process, and their
// closures are signed once. Environments of a node need one observation before they
// are activated, and each one after.
func TestWorkIsShared(t *testing.T) {
	nodes := fleet(3, 4)
	nodes[2].RemoteBuild = true
	w := newWorld(t, nodes)
	if o := w.deploy(nodes); o.Code() != deploy.ExitDone {
		t.Fatalf("exit code %d, %v", o.Code(), states(o))
	}
	count := func(op string) int {
		return len(slices.DeleteFunc(slices.Clone(w.done), func(s string) bool { return len(s) < len(op) || s[:len(op)] != op }))
	}
	if w.builds != 2 || count("sign ") != 1 || count("push ") != 2 {
		t.Errorf("%d builds, %d times signed, %d copies", w.builds, count("sign "), count("push "))
	}
	// One after the system, one before all environments, and at most one for each.
	if n := count("observe n1/"); n > 1+1+4 {
		t.Errorf("node n1 was observed %d times", n)
	}
}
