package deploy_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// A clone is one operator's checkout: the plan in its folder, and the commit below it.
type clone struct {
	name     string
	edits    map[string]bool // what the flake has by now, committed or not
	document plan.Document   // the plan in the folder
	commit   *commit
}

type commit struct {
	id       string
	document plan.Document
	edits    map[string]bool
	before   []*commit
}

func (c *commit) has(other *commit) bool {
	return c == other || slices.ContainsFunc(c.before, func(b *commit) bool { return b.has(other) })
}

// planned is the plan of a flake: an environment for each edit.
func planned(edits map[string]bool) plan.Document {
	d := plan.Document{FormatVersion: 1, Environments: map[string]plan.Environment{}}
	for edit := range edits {
		d.Environments[edit] = plan.Environment{Node: "n1"}
	}
	return d
}

// A history is three clones of one repository, and the nodes that they deploy to.
type history struct {
	*world
	fleet  []deploy.Node
	random *rand.Rand
	clones []*clone
	origin *commit
	next   int
	counts map[string]int
}

// TestOldClones lets three operators plan, commit, pull and deploy in any order. A node
// never gets a plan with a lower serial, nor another with the same one, unless the
// operator allows it.
func TestOldClones(t *testing.T) {
	counts := map[string]int{}
	const histories, steps = 50, 20
	for seed := range uint64(histories) {
		nodes := fleet(2, 1)
		h := &history{world: newWorld(t, nodes), fleet: nodes, random: rand.New(rand.NewPCG(seed, 1)), counts: counts}
		h.origin = &commit{id: "0000000", document: planned(nil).After(plan.Document{}), edits: map[string]bool{}}
		for _, name := range []string{"alice", "bob", "carol"} {
			h.clones = append(h.clones, &clone{name, map[string]bool{}, h.origin.document, h.origin})
		}
		for range steps {
			c := h.clones[h.random.IntN(len(h.clones))]
			switch h.random.IntN(5) {
			case 0:
				h.plan(c)
			case 1:
				h.push(c)
			case 2:
				h.pull(c)
			default:
				h.deploy(c)
			}
		}
	}
	for _, what := range []string{"plan", "no changes", "push", "merge", "deploy", "older-plan", "other-plan", "allowed"} {
		if counts[what] < histories/10 {
			t.Errorf("of %d interleavings only %d are of %s: %v", histories*steps, counts[what], what, counts)
		}
	}
	t.Logf("%d interleavings: %v", histories*steps, counts)
}

// plan plans, after an edit of the flake or without one.
func (h *history) plan(c *clone) {
	if h.random.IntN(3) > 0 {
		h.next++
		c.edits[fmt.Sprintf("%s-%d", c.name, h.next)] = true
	}
	before := c.document
	c.document = planned(c.edits).After(before)
	same := before.Digest() == planned(c.edits).Digest()
	h.counts["plan"]++
	if same {
		h.counts["no changes"]++
	}
	if want := before.Serial.Number; same && c.document.Serial.Number != want && before.Serial.Digest == before.Digest() {
		h.t.Errorf("a plan without changes raises %d to %d", want, c.document.Serial.Number)
	}
}

// push commits, and pushes if the origin has nothing else.
func (h *history) push(c *clone) {
	h.next++
	c.commit = &commit{fmt.Sprintf("%07x", h.next), c.document, maps.Clone(c.edits), []*commit{c.commit}}
	if c.commit.has(h.origin) {
		h.origin = c.commit
		h.counts["push"]++
	}
}

// pull merges the origin. Git stops at the serials of both, and the operator takes one of
// them; he may then plan, or not.
func (h *history) pull(c *clone) {
	switch {
	case c.commit.has(h.origin):
		return
	case h.origin.has(c.commit) && maps.Equal(c.edits, c.commit.edits):
		c.commit, c.document, c.edits = h.origin, h.origin.document, maps.Clone(h.origin.edits)
		return
	}
	h.counts["merge"]++
	serial := c.document.Serial
	if h.random.IntN(2) == 0 {
		serial = h.origin.document.Serial
	}
	maps.Copy(c.edits, h.origin.edits)
	c.document = planned(c.edits)
	c.document.Serial = serial
	h.next++
	c.commit = &commit{fmt.Sprintf("%07x", h.next), c.document, maps.Clone(c.edits), []*commit{c.commit, h.origin}}
	if h.random.IntN(2) == 0 {
		h.plan(c)
	}
}

// deploy deploys to some of the nodes, sometimes with the flag, and sometimes with a fault.
func (h *history) deploy(c *clone) {
	selected := h.fleet
	if h.random.IntN(2) == 0 {
		i := h.random.IntN(len(h.fleet))
		selected = h.fleet[i : i+1]
	}
	for i := range h.fleet { // each plan has paths of its own
		for j := range h.fleet[i].Profiles {
			h.fleet[i].Profiles[j].Path = fmt.Sprintf("/nix/store/%s-%d", c.document.Digest()[:32], 10*i+j)
		}
	}
	faulty := h.random.IntN(4) == 0
	h.fault = func(op, _, _ string) fault {
		if faulty && (op == "build" || op == "push" || op == "activate" || op == "keep") && h.random.IntN(3) == 0 {
			return fails
		}
		return none
	}
	for _, m := range h.nodes {
		m.activated, m.restarted = nil, nil
	}
	before := map[string]deploy.PlanRecord{}
	active := map[string]map[string]string{}
	for name, m := range h.nodes {
		before[name], active[name] = m.plan, maps.Clone(m.active)
	}
	r := h.runner(h.t.TempDir(), "")
	r.Plan = deploy.PlanRecord{Serial: c.document.Serial.Number, Digest: c.document.Digest(), Commit: c.commit.id, By: c.name}
	if h.random.IntN(8) == 0 {
		r.Options.AllowOlder = "the newer one is broken"
	}
	o, err := r.Run(context.Background(), deploy.Deploy, selected, h.fleet)
	if err != nil {
		h.t.Fatal(err)
	}
	h.counts["deploy"]++
	lower := false
	for _, n := range selected {
		was := before[n.Name]
		if r.Plan.Serial < was.Serial || r.Plan.Serial == was.Serial && r.Plan.Digest != was.Digest {
			lower = true
		}
	}
	for name, m := range h.nodes {
		was := before[name]
		falls := m.plan.Serial < was.Serial || m.plan.Serial == was.Serial && m.plan.Digest != was.Digest
		if falls && r.Options.AllowOlder == "" {
			h.t.Errorf("node %s falls from %+v to %+v", name, was, m.plan)
		}
		if lower && r.Options.AllowOlder == "" && !maps.Equal(m.active, active[name]) {
			h.t.Errorf("node %s is changed by a plan that is refused", name)
		}
		for profile, path := range m.active {
			if path != active[name][profile] && path == plannedPath(h.fleet, name, profile) && m.plan != r.Plan {
				h.t.Errorf("%s/%s is at plan %d, and the node recorded %+v", name, profile, r.Plan.Serial, m.plan)
			}
		}
	}
	for _, e := range o.Findings {
		if f := e.Finding; f.Code == deploy.FindingOlderPlan || f.Code == deploy.FindingOtherPlan {
			if !lower {
				h.t.Errorf("refused without a reason: %s", f.Message)
			}
			if r.Options.AllowOlder != "" {
				h.counts["allowed"]++
			}
			h.counts[f.Code]++
			if was := before[e.Node]; !strings.Contains(f.Message, "commit "+was.Commit) || !strings.Contains(f.Message, "which "+was.By+" deployed") {
				h.t.Errorf("it names neither commit nor operator of %+v: %s", was, f.Message)
			}
			lower = false
			break
		}
	}
	if lower {
		h.t.Errorf("plan %d goes over %v", r.Plan.Serial, before)
	}
}

func plannedPath(fleet []deploy.Node, node, profile string) string {
	for _, n := range fleet {
		for _, p := range n.Profiles {
			if n.Name == node && p.Name == profile {
				return p.Path
			}
		}
	}
	return ""
}

// A node whose connection was lost may have got a newer plan before the run reaches it
// again. A preview shows what a deploy would refuse, and a run that may go back says why.
func TestOlderPlan(t *testing.T) {
	newer := deploy.PlanRecord{Serial: 7, Digest: "b", Commit: "abcdef0", By: "alice@ci, process 7", Time: "2026-11-29T07:00:00Z"}
	ours := deploy.PlanRecord{Serial: 6, Digest: "a", By: "bob"}
	run := func(t *testing.T, mode deploy.Mode, allowed string, prepare func(w *world)) (*world, deploy.Outcome) {
		t.Helper()
		nodes := fleet(2, 1)
		w := newWorld(t, nodes)
		prepare(w)
		r := w.runner(t.TempDir(), "")
		r.Plan, r.Options.AllowOlder = ours, allowed
		o, err := r.Run(t.Context(), mode, nodes, nodes)
		if err != nil {
			t.Fatal(err)
		}
		return w, o
	}
	had := func(w *world) { w.nodes["n2"].plan = newer }

	w, o := run(t, deploy.Deploy, "", had)
	if o.Code() != deploy.ExitFailed || len(o.Findings) != 1 || slices.ContainsFunc(w.done, func(op string) bool { return !strings.HasPrefix(op, "open ") }) {
		t.Errorf("the older plan: %d, %+v, %q", o.Code(), o.Findings, w.done)
	}
	want := "node n2 has plan 7 of commit abcdef0, which alice@ci, process 7 deployed at 2026-11-29T07:00:00Z; this is plan 6, which is older"
	if f := o.Findings[0].Finding; f.Message != want || f.Code != deploy.FindingOlderPlan || !strings.Contains(f.Hint, "git pull") {
		t.Errorf("it says %q", f.Message)
	}

	if _, o := run(t, deploy.Preview, "", had); len(o.Findings) != 1 || o.Findings[0].Finding.Level != deploy.Failure || o.PreviewCode(true) != deploy.ExitFailed {
		t.Errorf("the preview: %+v", o.Findings)
	}

	w, o = run(t, deploy.Deploy, "7 is broken", had)
	if o.Code() != deploy.ExitDone || len(o.Findings) != 1 || o.Findings[0].Finding.Level != deploy.Warning || !strings.Contains(o.Findings[0].Finding.Hint, "7 is broken") || w.nodes["n2"].plan != ours {
		t.Errorf("allowed: %d, %+v, n2 has %+v", o.Code(), o.Findings, w.nodes["n2"].plan)
	}

	// Between the preflight and the activation the connection is lost, and alice deploys.
	w, o = run(t, deploy.Deploy, "", func(w *world) {
		w.fault = func(op, node, _ string) fault {
			if op == "build" && node == "n2" {
				w.nodes["n2"].plan = newer
				w.lose("n2")
			}
			return none
		}
	})
	for _, p := range o.Profiles {
		if failed := p.State == deploy.StateFailed && strings.Contains(p.Error, "which is older"); failed != (p.Node == "n2") {
			t.Errorf("%s/%s is %s: %s", p.Node, p.Profile, p.State, p.Error)
		}
	}
	if len(w.nodes["n2"].activated) > 0 || w.nodes["n2"].plan != newer {
		t.Errorf("n2 has %+v, and activated %q", w.nodes["n2"].plan, w.nodes["n2"].activated)
	}

	// A node that could not get the plan stays with the record that it has.
	w, _ = run(t, deploy.Deploy, "", func(w *world) {
		w.fault = func(op, node, _ string) fault {
			if op == "push" && node == "n1" {
				return fails
			}
			return none
		}
	})
	if w.nodes["n1"].plan.Serial != 0 || w.nodes["n2"].plan != ours {
		t.Errorf("n1 has %+v, n2 %+v", w.nodes["n1"].plan, w.nodes["n2"].plan)
	}
}
