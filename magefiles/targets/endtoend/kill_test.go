package endtoend_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/internal/fleet"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// A point is where the test kills the program: after a number of events, after a
// number of processes that it started, or in the middle of an activation.
type point struct {
	events, commands int
	activation       string // a profile of the first node
	fails            bool   // whether the activation fails after the program is killed
	family           bool   // kill its descendants too, as when the machine loses power
	first            bool   // in a first deploy; otherwise in an upgrade
}

func (p point) String() string {
	where := fmt.Sprintf("after %d events", p.events)
	switch {
	case p.commands > 0:
		where = fmt.Sprintf("after %d processes", p.commands)
	case p.activation != "":
		where = "while it activates " + p.activation
		if p.fails {
			where += ", which fails"
		}
	}
	with := map[bool]string{false: "alone", true: "with all of it"}[p.family]
	return fmt.Sprintf("%s, %s, %s", map[bool]string{false: "an upgrade", true: "a first deploy"}[p.first], where, with)
}

// points returns the points of a deploy with these numbers of events and
// processes.
func points(users []string, events, commands int) []point {
	var all []point
	for _, first := range []bool{true, false} {
		for i := 1; i < events; i++ {
			all = append(all, point{first: first, events: i, family: (i%2 == 0) == first})
		}
		for i := 2; i <= commands; i += 9 {
			all = append(all, point{first: first, commands: i, family: (i%2 == 0) == first})
		}
		for _, profile := range append([]string{deploy.SystemProfile}, users...) {
			for _, family := range []bool{true, false} {
				all = append(all, point{first: first, activation: profile, family: family})
				if profile != deploy.SystemProfile {
					all = append(all, point{first: first, activation: profile, family: family, fails: true})
				}
			}
		}
	}
	return all
}

// A deploy that is killed at any point can be resumed and completes. It does not
// activate a version again that is known to be good, and the nodes' locks are free at once.
func TestKilled(t *testing.T) {
	backEnds(t, func(t *testing.T, programs string) {
		g := newGround(t, programs, fleet.Options{Nodes: 1, Environments: 2})
		g.Reset(t, g.old)
		g.wants(g.deploy(), 0)
		_, events := g.newest()
		all := points(g.n.Users(), events, len(g.Commands(t)))
		if g.real { // one point of each kind, and all in the middle of activations
			all = slices.DeleteFunc(all, func(p point) bool { return p.activation == "" && (p.events+p.commands)%8 != 5 })
		}
		k := &killing{ground: g}
		for _, p := range all {
			g.try(p.String(), func(*testing.T) { k.point(p) })
		}
		t.Logf("killed at %d points, behind %d kinds of events; of what was activated then %d were doubted and repeated, %d repeated after the node went back, %d adopted",
			k.killed, len(k.kinds), k.doubted, k.back, k.adopted)
		t.Logf("the lock of the node was free after at most %v", k.worst)
		if !g.real && k.killed < 50 {
			t.Errorf("killed at %d points, want 50", k.killed)
		}
	})
}

type killing struct {
	*ground
	killed, doubted, back, adopted int
	kinds                          map[string]bool // of the last event before a kill
	worst                          time.Duration
}

func (k *killing) point(at point) {
	k.t.Helper()
	was := k.old
	if at.first {
		was = nil
	}
	k.Reset(k.t, was)
	if at.activation != "" {
		k.n.OnActivation(k.t, at.activation, fleet.Behaviour{Block: true, Print: 100})
	}
	p := k.start(k.deployArgs("-lockWait=1h")...)
	over := p.until(at.String(), func() bool {
		switch {
		case at.activation != "":
			begun := k.n.Activations(k.t, at.activation)
			return len(begun) > 0 && begun[len(begun)-1].Blocked
		case at.commands > 0:
			return len(k.Commands(k.t)) >= at.commands
		default:
			return len(p.events()) >= at.events
		}
	})
	if over {
		k.t.Skip("it had ended before")
	}
	p.kill(at.family)
	died := time.Now()
	if p.ProcessState.ExitCode() != -1 {
		k.t.Skip("it had ended before")
	}
	testenv.Await(k.t, "the end of the lock that a dead process has", func() bool {
		free, ok := takeLock(k.t, k.n)
		if ok {
			k.worst = max(k.worst, time.Since(died))
			free()
		}
		return ok
	})
	k.killed++
	events := p.events()
	if k.kinds == nil {
		k.kinds = map[string]bool{}
	}
	if len(events) > 0 {
		last := events[len(events)-1]
		k.kinds[string(last.Type)+" "+string(last.State)] = true
	}
	if at.fails {
		k.n.OnActivation(k.t, at.activation, fleet.Behaviour{Fail: 7})
		k.n.WaitEnded(k.t, at.activation)
	}
	if at.activation != "" {
		k.n.OnActivation(k.t, at.activation, fleet.Behaviour{})
	}

	// A program that was killed before it began a run leaves no run to resume,
	// nor does one that was killed after it had reported everything.
	how := []string{"-lockWait=1h", "-resume"}
	if len(events) == 0 || events[len(events)-1].Type == deploy.TypeEnd {
		how = how[:1]
	}
	r := k.deploy(how...)
	if r.code != 0 {
		k.t.Fatalf("the deploy does not converge: %s", r)
	}
	k.agrees(r, k.planned)
	k.explained(was)

	if at.activation != "" {
		before := k.counts(k.planned)
		k.wants(k.deploy(), 0)
		if again := k.counts(k.planned); !maps.Equal(before, again) {
			k.t.Errorf("another deploy activates: %v, before %v", again, before)
		}
	}
}

// explained compares every activation with the journal. A planned path is activated
// once, and again only if the node went back from it or if the outcome of the
// activation was not known.
func (k *killing) explained(was map[string]string) {
	k.t.Helper()
	id, _ := k.newest()
	events, err := deploy.ReadJournal(k.runs(), id)
	if err != nil {
		k.t.Fatal(err)
	}
	for _, profile := range k.n.Profiles() {
		key := "n1/" + profile
		if at := k.n.Active(k.t, profile); at != k.planned[key] {
			k.t.Errorf("%s is at %q, want the planned %q", key, at, k.planned[key])
		}
		activated := k.n.Activated(k.t, profile, k.planned[key])
		allowed, begun := 1, 0
		for _, e := range events {
			if e.Type != deploy.TypeProfile || e.Profile != profile {
				continue
			}
			switch {
			case e.State == deploy.StateActivating:
				begun++
			case e.State == deploy.StatePending && begun > 0 && e.Reason == deploy.ReasonDoubtful:
				allowed, k.doubted = allowed+1, k.doubted+1
			case e.State == deploy.StatePending && begun > 0 && e.Active == was[key]:
				// The kill came before deploy-rs activated, or the node went back.
				allowed = begun + 1
				if activated > 1 {
					k.back++
				}
			case e.Reason == deploy.ReasonAdopted:
				k.adopted++
			}
		}
		if activated < 1 || activated > allowed {
			k.t.Errorf("%s was activated %d times, but the journal explains %d: %+v", key, activated, allowed, k.n.Activations(k.t, profile))
		}
		if all := k.n.Activations(k.t, profile); len(all) == 0 || !all[len(all)-1].Ended || all[len(all)-1].Status != 0 {
			k.t.Errorf("the last activation of %s did not succeed: %+v", key, all)
		}
	}
}
