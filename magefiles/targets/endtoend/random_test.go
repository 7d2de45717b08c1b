package endtoend_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/internal/fleet"
)

var (
	randomPlans = flag.Int("plans", 4, "how many plans of faults TestRandomFaults makes")
	randomSeed  = flag.Uint64("seed", 1, "the seed of the first of them")
)

// Random plans of faults, in random waves: each profile is at its old path or at the
// planned one, and what is active came up; every report agrees with the nodes; and
// nothing is activated after a wave that failed. Without the faults, a deploy converges.
func TestRandomFaults(t *testing.T) {
	g := newGround(t, standIn(t), fleet.Options{Nodes: 3, Environments: 2})
	for i := range *randomPlans {
		seed := *randomSeed + uint64(i)
		g.try(fmt.Sprintf("seed=%d", seed), func(*testing.T) { g.randomFaults(rand.New(rand.NewPCG(seed, 14))) })
	}
}

// A happening is a fault at a random moment of a run.
type happening struct {
	name string
	do   func(n *fleet.Node, p *process)
	off  bool // whether the node has no sshd after it
}

func (g *ground) happenings() []happening {
	return []happening{
		{name: "nothing"},
		{name: "its connections are cut", do: func(n *fleet.Node, _ *process) { n.Cut() }},
		{name: "its power fails", do: func(n *fleet.Node, _ *process) { crash(g.t, n) }, off: true},
		{name: "its sshd ends", do: func(n *fleet.Node, _ *process) { n.StopSSH(g.t) }, off: true},
		{name: "Ctrl-C", do: func(_ *fleet.Node, p *process) { p.signal(syscall.SIGINT) }},
		{name: "the program is killed", do: func(_ *fleet.Node, p *process) { p.kill(false) }},
		{name: "the program and its processes are killed", do: func(_ *fleet.Node, p *process) { p.kill(true) }},
	}
}

func (g *ground) randomFaults(random *rand.Rand) {
	g.t.Helper()
	oneOf := func(n int) bool { return random.IntN(n) == 0 }

	waves := [][]any{{}, {1}, {1, 1}, {[]string{"n2"}, "50%"}, {"30%", "50%"}}[random.IntN(5)]
	failures := random.IntN(2)
	g.Provider.Replan(g.t, func(all map[string]any) {
		provider := all["provider"].(map[string]any)
		provider["waves"], provider["waveFailures"] = waves, failures
	})
	planned, was := g.Provider.Paths(g.t), maps.Clone(g.old)
	for _, key := range g.keys {
		switch {
		case oneOf(8):
			was[key] = planned[key]
		case oneOf(8):
			was[key] = g.ancient[key]
		case oneOf(8) && !strings.HasSuffix(key, "/"+deploy.SystemProfile):
			delete(was, key)
		}
	}
	g.Reset(g.t, was)

	text := fmt.Sprintf("waves %v, of which %d may fail:", waves, failures)
	args := []string{}
	off := map[*fleet.Node]bool{}
	g.each(func(n *fleet.Node, profile string) {
		b := fleet.Behaviour{Path: planned[n.Name+"/"+profile]}
		if oneOf(5) {
			b.Fail = 1 + random.IntN(9)
		}
		if oneOf(3) {
			b.Sleep = time.Duration(random.IntN(1500)) * time.Millisecond
		}
		n.OnActivation(g.t, profile, b)
		if b.Fail != 0 || b.Sleep != 0 {
			text += fmt.Sprintf(" %s/%s sleeps %v and ends with %d;", n.Name, profile, b.Sleep, b.Fail)
		}
	})
	if oneOf(6) {
		n := g.Nodes[random.IntN(len(g.Nodes))]
		n.StopSSH(g.t)
		off[n] = true
		args = append(args, "-skipOffline")
		text += " " + n.Name + " is off;"
	} else if oneOf(2) {
		args = append(args, "-skipOffline") // one that falls silent before the run is left out
	}
	hit, what, after := g.Nodes[random.IntN(len(g.Nodes))], g.happenings()[random.IntN(7)], 1+random.IntN(60)
	if what.off {
		off[hit] = true
	}
	g.t.Logf("%s %s, of %s after %d events", text, what.name, hit.Name, after)

	last, _ := g.newest()
	p := g.start(g.deployArgs(args...)...)
	if what.do != nil {
		p.until(fmt.Sprintf("event %d", after), func() bool {
			now, _ := g.newest()
			return now != last && len(p.events()) >= after
		})
		what.do(hit, p)
	}
	r := p.wait()
	now, _ := g.newest()
	killed := r.code < 0
	states := map[string]deploy.State{}
	if now != last && !killed {
		for _, profile := range g.agrees(r, planned).Profiles {
			states[profile.Node+"/"+profile.Profile] = profile.State
		}
	}
	g.each(func(n *fleet.Node, profile string) {
		key := n.Name + "/" + profile
		at := n.Active(g.t, profile)
		if at != was[key] && at != planned[key] {
			g.t.Errorf("%s is at %q, neither planned nor before", key, at)
		}
		if settled := states[key]; settled == "" || settled == deploy.StateUnknown || settled == deploy.StateUnreachable || at == "" {
			return
		}
		if up := n.CameUp(g.t, profile); up != at {
			g.t.Errorf("%s is %s at %s, but %q came up", key, states[key], at, up)
		}
	})
	if now != last {
		failed := false
		for _, e := range p.events() {
			failed = failed || e.Type == deploy.TypeWave && e.State == deploy.StateFailed
			if failed && (e.State == deploy.StateActivating || e.State == deploy.StateMoving) {
				g.t.Errorf("after a wave that failed: %+v", e)
			}
		}
	}

	for n := range off {
		n.StartSSH(g.t)
	}
	g.each(func(n *fleet.Node, profile string) { n.OnActivation(g.t, profile, fleet.Behaviour{}) })
	how := []string{"-lockWait=1h"}
	if now != last && r.code != 0 {
		how = append(how, "-resume")
	}
	second := g.deploy(how...)
	if second.code != 0 {
		g.t.Fatalf("the deploy does not converge: %s\nafter %s", second, r)
	}
	g.agrees(second, planned)
	g.statusAgrees(planned)
	for key, at := range g.truth() {
		if at != planned[key] {
			g.t.Errorf("%s is at %q, want the planned %q", key, at, planned[key])
		}
	}
}
