package deploy_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// inWaves runs once, with each word a wave of nodes or of profiles.
func (w *world) inWaves(nodes []deploy.Node, r *deploy.Runner, waves string) deploy.Outcome {
	w.t.Helper()
	for wave := range strings.FieldsSeq(waves) {
		var keys []string
		for key := range strings.SplitSeq(wave, ",") {
			for _, n := range nodes {
				for _, p := range n.Profiles {
					if n.Name == key || p.Key() == key {
						keys = append(keys, p.Key())
					}
				}
			}
		}
		r.Waves.Order = append(r.Waves.Order, keys)
	}
	o, err := r.Run(w.t.Context(), deploy.Deploy, nodes, nodes)
	if err != nil {
		w.t.Fatal(err)
	}
	w.agrees(nodes, o)
	return o
}

// A wave begins when all profiles of the one before are active, and after the pause.
func TestWavesFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := fleet(3, 1)
		w := newWorld(t, nodes)
		at := map[string]time.Duration{}
		begun := time.Now()
		w.takes = func(op, _ string) {
			if op == "activate" {
				time.Sleep(10 * time.Second)
			}
		}
		w.fault = func(op, node, profile string) fault {
			if op == "activate" {
				at[node+"/"+profile] = time.Since(begun).Round(time.Second)
			}
			return none
		}
		r := w.runner(t.TempDir(), "")
		r.Waves.Pause = time.Minute
		if o := w.inWaves(nodes, r, "n2 n1/system"); o.Code() != deploy.ExitDone {
			t.Errorf("exit code %d, %v", o.Code(), states(o))
		}
		want := map[string]time.Duration{ // the end of each activation
			"n2/system": 10 * time.Second, "n2/env1-n2": 20 * time.Second,
			"n1/system":  90 * time.Second,
			"n1/env1-n1": 160 * time.Second, "n3/system": 160 * time.Second, "n3/env1-n3": 170 * time.Second,
		}
		if diff := cmp.Diff(want, at); diff != "" {
			t.Error(diff)
		}
		var events []string
		for _, e := range r.Journal.Events() {
			if e.Type == deploy.TypeWave {
				events = append(events, fmt.Sprint(e.Wave.Number, " ", e.State))
			}
		}
		if diff := cmp.Diff([]string{"1 pending", "2 pending", "3 pending", "1 activating", "1 active", "2 activating", "2 active", "3 activating", "3 active"}, events); diff != "" {
			t.Error(diff)
		}
	})
}

// If more of a wave fails than may, no profile of a later wave is activated.
func TestWaveFails(t *testing.T) {
	over := "skipped wave"
	for _, test := range []struct {
		reason, op, profile string
		waves               string
		failures            int
		options             deploy.Options
		want                map[string]string
	}{
		{"an environment", "activate", "env1-n1", "n1", 0, deploy.Options{},
			map[string]string{"n1/system": "active", "n1/env1-n1": "failed activation", "n2/system": over, "n2/env1-n2": over}},
		{"a system", "activate", "system", "n1", 0, deploy.Options{},
			map[string]string{"n1/system": "failed activation", "n1/env1-n1": "skipped system-failed", "n2/system": over, "n2/env1-n2": over}},
		{"as many as may", "activate", "env1-n1", "n1", 1, deploy.Options{},
			map[string]string{"n1/system": "active", "n1/env1-n1": "failed activation", "n2/system": "active", "n2/env1-n2": "active"}},
		{"a build, which reaches no node", "build", "env1-n1", "n1", 0, deploy.Options{},
			map[string]string{"n1/system": "active", "n1/env1-n1": "failed build", "n2/system": "active", "n2/env1-n2": "active"}},
		{"a copy", "push", "", "n1", 0, deploy.Options{},
			map[string]string{"n1/system": "failed unsigned", "n1/env1-n1": "failed unsigned", "n2/system": over, "n2/env1-n2": over}},
		{"an environment before the systems of others", "activate", "env1-n1", "n1,n2/system", 0, deploy.Options{},
			map[string]string{"n1/system": "active", "n1/env1-n1": "failed activation", "n2/system": "active", "n2/env1-n2": over}},
		{"without waves", "activate", "env1-n1", "n1", 0, deploy.Options{NoWaves: true},
			map[string]string{"n1/system": "active", "n1/env1-n1": "failed activation", "n2/system": "active", "n2/env1-n2": "active"}},
		{"the last wave", "activate", "env1-n1", "n2", 0, deploy.Options{},
			map[string]string{"n1/system": "active", "n1/env1-n1": "failed activation", "n2/system": "active", "n2/env1-n2": "active"}},
	} {
		t.Run(test.reason, func(t *testing.T) {
			nodes := fleet(2, 1)
			w := newWorld(t, nodes)
			w.fault = func(op, node, profile string) fault {
				if op == test.op && profile == test.profile && node == "n1" {
					return fails
				}
				return none
			}
			dir := t.TempDir()
			r := w.runner(dir, "")
			r.Waves.Failures = test.failures
			r.Options.NoWaves = test.options.NoWaves
			o := w.inWaves(nodes, r, test.waves)
			if diff := cmp.Diff(test.want, states(o)); diff != "" {
				t.Error(diff)
			}
			for _, p := range o.Profiles {
				if p.Reason == deploy.ReasonWave && (!strings.Contains(p.Error, "wave 1 of 2 failed: n1/") || p.Hint == "") {
					t.Errorf("%s is skipped for %q (%s)", p.Profile, p.Error, p.Hint)
				}
			}
			if o.Code() == deploy.ExitDone {
				t.Error("it is done")
			}
			// The cause is mended, and the run is resumed.
			w.fault = func(string, string, string) fault { return none }
			again := w.runner(dir, r.Journal.ID)
			if o := w.inWaves(nodes, again, test.waves); o.Code() != deploy.ExitDone {
				t.Errorf("resumed: exit code %d, %v", o.Code(), states(o))
			}
		})
	}
}

// A system of an early wave waits for an environment that leaves its node. The run puts
// both into one wave.
func TestWaveOfAMove(t *testing.T) {
	nodes := fleet(2, 1)
	w := newWorld(t, nodes)
	r := w.runner(t.TempDir(), "")
	r.Moves = []plan.Move{{User: "env1-n2", From: "n1", To: "n2"}}
	if o := w.inWaves(nodes, r, "n1 n2"); o.Code() != deploy.ExitDone {
		t.Errorf("exit code %d, %v", o.Code(), states(o))
	}
	system, env := slices.Index(w.done, "activate n1/system"), slices.Index(w.done, "activate n2/env1-n2")
	if system < env {
		t.Errorf("the system dropped its environment: %v", w.done)
	}
}

// 200 random plans of faults, in random waves: each profile is at its new path or the one
// before, unless its node did not answer any more; what the journal says is what the nodes
// have, and no profile is activated after a wave that failed. Resumed without faults, the
// run makes all planned paths active.
func TestPlansOfFaults(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 14))
		nodes := fleet(1+random.IntN(5), random.IntN(4))
		w := newWorld(t, nodes)
		before := map[string]string{}
		for _, n := range nodes {
			for _, p := range n.Profiles {
				if m := w.nodes[n.Name]; !p.IsSystem() && random.IntN(2) == 0 {
					m.active[p.Name], m.good[p.Name], m.users[p.Name] = "/nix/store/0-"+p.Name, true, p.UID
				}
				before[p.Key()] = w.nodes[n.Name].active[p.Name]
			}
		}
		faults := []fault{fails, failsStuck, failsAstray, failsDown, failsRuns, lies, failsFull}
		often := 3 + random.IntN(30)
		failedAt := -1 // the operation before which a wave had failed
		var r *deploy.Runner
		w.fault = func(op, node, profile string) fault {
			if op == "open" || op == "restore" || op == "remove" || op == "keep" || random.IntN(often) > 0 {
				return none
			}
			f := faults[random.IntN(len(faults))]
			if f == failsFull && op != "push" || f == failsRuns && profile != "system" {
				return fails
			}
			return f
		}
		r = w.runner(t.TempDir(), "")
		r.Waves.Failures = random.IntN(2)
		var waves []string
		for _, i := range random.Perm(len(nodes)) {
			waves = append(waves, nodes[i].Name)
		}
		o := w.inWaves(nodes, r, strings.Join(waves, " "))
		for _, p := range o.Profiles {
			key := p.Node + "/" + p.Profile
			got := w.nodes[p.Node].active[p.Profile]
			if p.State == deploy.StateUnknown { // the node did not answer any more
				continue
			}
			if got != p.Want && got != before[key] {
				t.Errorf("seed %d: %s is at %q, neither new nor %q", seed, key, got, before[key])
			}
			if (p.State == deploy.StateActive) != (got == p.Want && w.nodes[p.Node].good[p.Profile]) {
				t.Errorf("seed %d: %s is %s by the journal, and at %q", seed, key, p.State, got)
			}
		}
		for i, e := range r.Journal.Events() {
			if e.Type == deploy.TypeWave && e.State == deploy.StateFailed {
				failedAt = i
			}
			if failedAt >= 0 && (e.State == deploy.StateActivating || e.State == deploy.StateMoving) {
				t.Errorf("seed %d: after a wave that failed: %+v", seed, e)
			}
		}
		w.fault = func(string, string, string) fault { return none }
		for _, m := range w.nodes {
			m.disks = nil
		}
		again := w.runner(filepath.Dir(r.Journal.Dir), r.Journal.ID)
		if resumed := w.inWaves(nodes, again, strings.Join(waves, " ")); resumed.Code() != deploy.ExitDone {
			t.Errorf("seed %d: resumed: exit code %d, %v", seed, resumed.Code(), states(resumed))
		}
		if t.Failed() {
			t.Fatalf("seed %d: %v", seed, states(o))
		}
	}
}
