package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

func states(o deploy.Outcome) map[string]string {
	all := map[string]string{}
	for _, p := range o.Profiles {
		all[p.Node+"/"+p.Profile] = strings.TrimSuffix(string(p.State)+" "+string(p.Reason), " ")
	}
	return all
}

func TestFirstDeployAndSecond(t *testing.T) {
	nodes := fleet(2, 2)
	w := newWorld(t, nodes)
	first := w.deploy(nodes)
	want := map[string]string{}
	for _, n := range nodes {
		for _, p := range n.Profiles {
			want[p.Key()] = "active"
		}
	}
	if diff := cmp.Diff(want, states(first)); diff != "" || first.Code() != deploy.ExitDone {
		t.Errorf("exit code %d, %s", first.Code(), diff)
	}
	for name, m := range w.nodes {
		if !strings.HasPrefix(m.activated[0], "system=") || len(m.activated) != 3 {
			t.Errorf("%s activated %v, want the system first", name, m.activated)
		}
	}
	w.done = nil
	second := w.deploy(nodes)
	for _, p := range second.Profiles {
		if p.State != deploy.StateInSync {
			t.Errorf("the second time %s/%s is %s", p.Node, p.Profile, p.State)
		}
	}
	if diff := cmp.Diff([]string{"open n1/", "open n2/"}, slices.Sorted(slices.Values(w.done))); diff != "" {
		t.Errorf("the second run did something: %s", diff)
	}
}

// After each fault every profile has its new path or the one before, and the outcome
// reports the truth.
func TestFaults(t *testing.T) {
	const env = "env1-n1"
	tests := []struct {
		reason      string
		op, profile string
		fault       fault
		prepare     func(*world)
		want        map[string]string // of n1; n2 is active throughout
		active      map[string]string
		code        int
	}{
		{"nothing", "", "", none, nil, map[string]string{"system": "active", env: "active"}, nil, 0},
		{"the system is not built", "build", "system", fails, nil, map[string]string{"system": "failed build", env: "skipped system-failed"}, map[string]string{"system": "/nix/store/0-system-old"}, 3},
		{"an environment is not built", "build", env, fails, nil, map[string]string{"system": "active", env: "failed build"}, map[string]string{env: ""}, 3},
		{"nothing can be pushed", "push", "", fails, nil, map[string]string{"system": "failed unsigned", env: "failed unsigned"}, map[string]string{"system": "/nix/store/0-system-old"}, 3},
		{"the system fails and goes back", "activate", "system", fails, nil, map[string]string{"system": "failed activation", env: "skipped system-failed"}, map[string]string{"system": "/nix/store/0-system-old"}, 3},
		{"the system fails and goes too far back", "activate", "system", failsAstray, nil, map[string]string{"system": "failed activation", env: "skipped system-failed"}, map[string]string{"system": "/nix/store/0-system-old"}, 3},
		{"the system fails and stays", "activate", "system", failsStuck, nil, map[string]string{"system": "failed activation", env: "skipped system-failed"}, map[string]string{"system": "/nix/store/0-system-old"}, 3},
		{"the system fails, still running beside the profile of before", "activate", "system", failsRuns, nil, map[string]string{"system": "failed activation", env: "skipped system-failed"}, map[string]string{"system": "/nix/store/0-system-old"}, 3},
		{"the node's disk is full", "", "", none, func(w *world) { w.nodes["n1"].disks = map[string]deploy.Disk{"/nix/store": {Files: -1}} }, map[string]string{"system": "failed no-room", env: "failed no-room"}, map[string]string{"system": "/nix/store/0-system-old"}, 3},
		{"the node's disk becomes full, and its daemon ends the connection", "push", "", failsFull, nil, map[string]string{"system": "failed no-room", env: "failed no-room"}, map[string]string{"system": "/nix/store/0-system-old"}, 3},
		{"a new environment fails", "activate", env, fails, nil, map[string]string{"system": "active", env: "failed activation"}, map[string]string{env: ""}, 3},
		{"an environment fails and goes back", "activate", env, fails, had(env), map[string]string{"system": "active", env: "failed activation"}, map[string]string{env: "/nix/store/0-env"}, 3},
		{"an environment fails and stays", "activate", env, failsStuck, had(env), map[string]string{"system": "active", env: "failed activation"}, map[string]string{env: "/nix/store/0-env"}, 3},
		{"an environment fails, and what it goes back to is down", "activate", env, failsDown, had(env), map[string]string{"system": "active", env: "failed activation"}, map[string]string{env: "/nix/store/0-env"}, 3},
		{"deploy-rs reports success without one", "activate", env, lies, had(env), map[string]string{"system": "active", env: "failed activation"}, map[string]string{env: "/nix/store/0-env"}, 3},
		{"another user has the UID", "", "", none, func(w *world) { w.nodes["n1"].users["other"] = 1000 }, map[string]string{}, nil, 1},
		{"the environment has another UID", "", "", none, func(w *world) { w.nodes["n1"].users[env] = 4711 }, map[string]string{}, nil, 1},
		{"the node trusts no key", "", "", none, func(w *world) { w.nodes["n1"].keys = nil }, map[string]string{}, nil, 1},
		{"the node is another machine", "", "", none, func(w *world) { w.nodes["n1"].os = "debian" }, map[string]string{}, nil, 1},
		{"the node is unreachable", "", "", none, func(w *world) { w.nodes["n1"].unreached = true }, map[string]string{}, nil, 1},
		{"another deploy is running", "", "", none, func(w *world) { w.nodes["n1"].locked = true }, map[string]string{}, nil, 5},
	}
	for _, test := range tests {
		t.Run(test.reason, func(t *testing.T) {
			nodes := fleet(2, 1)
			w := newWorld(t, nodes)
			if test.prepare != nil {
				test.prepare(w)
			}
			w.fault = func(op, node, profile string) fault {
				if op == test.op && profile == test.profile && node == "n1" {
					return test.fault
				}
				return none
			}
			o := w.deploy(nodes)
			got := map[string]string{}
			for key, state := range states(o) {
				node, profile, _ := strings.Cut(key, "/")
				if node == "n1" {
					got[profile] = state
				} else if state != "active" {
					t.Errorf("%s is %s", key, state)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if o.Code() != test.code {
				t.Errorf("exit code %d, want %d", o.Code(), test.code)
			}
			for profile, path := range test.active {
				if got := w.nodes["n1"].active[profile]; got != path {
					t.Errorf("%s is at %q, want %q", profile, got, path)
				}
				if path != "" && !w.nodes["n1"].good[profile] {
					t.Errorf("%s is at %q, which is down", profile, path)
				}
			}
			if runs := w.nodes["n1"].runs; runs != "" {
				t.Errorf("the node runs %s beside its profile", runs)
			}
			for _, p := range o.Profiles {
				if p.State == deploy.StateFailed && p.Error == "" {
					t.Errorf("%s/%s failed and does not say why", p.Node, p.Profile)
				}
			}
			for _, f := range o.Findings {
				if f.Finding.Level == deploy.Failure && f.Finding.Hint == "" {
					t.Errorf("%q has no hint", f.Finding.Message)
				}
			}
			if len(test.want) == 0 {
				for name, m := range w.nodes {
					if len(m.activated) > 0 || len(w.built) > 0 {
						t.Errorf("%s was touched though a preflight failed: %v %v", name, m.activated, w.built)
					}
				}
			}
		})
	}
}

// had gives the world an environment that was deployed before.
func had(user string) func(*world) {
	return func(w *world) {
		m := w.nodes["n1"]
		m.active[user], m.good[user], m.users[user] = "/nix/store/0-env", true, 1000
	}
}

// A run may die at any point, with or without the operations that it has started. It
// can then be resumed to the end, and no profile that works is activated again.
func TestResumesAfterDeath(t *testing.T) {
	runs := 0
	for seed := range uint64(150) {
		random := rand.New(rand.NewPCG(seed, 1))
		nodes := fleet(1+random.IntN(3), random.IntN(3))
		w := newWorld(t, nodes)
		for _, n := range nodes {
			for _, p := range n.Profiles[1:] {
				if random.IntN(2) == 0 {
					m := w.nodes[n.Name]
					m.active[p.Name], m.good[p.Name], m.users[p.Name] = "/nix/store/0-"+p.Name, true, p.UID
				}
			}
		}
		before := map[string]string{}
		for _, n := range nodes {
			for _, p := range n.Profiles {
				before[p.Key()] = w.nodes[n.Name].active[p.Name]
			}
		}
		dir, id := t.TempDir(), ""
		for life := 0; ; life++ {
			runs++
			r := w.runner(dir, id)
			id = r.Journal.ID
			dieAt, count := 1+random.IntN(30), 0
			if life == 3 {
				dieAt = 1 << 30
			}
			w.fault = func(op, _, profile string) fault {
				if count++; count < dieAt {
					return none
				}
				// A dead process writes no more to its journal.
				_ = r.Journal.Close()
				if op != "activate" {
					return fails
				}
				if count > dieAt {
					return none
				}
				return []fault{dies, diesAlone, diesLinked}[random.IntN(3)]
			}
			r.History.Doubts = doubts(t, dir)
			outcome, err := r.Run(t.Context(), deploy.Deploy, nodes, nodes)
			for key, path := range before {
				node, profile, _ := strings.Cut(key, "/")
				i := slices.IndexFunc(nodes, func(n deploy.Node) bool { return n.Name == node })
				p, _ := nodes[i].Profile(profile)
				if at := w.nodes[node].active[profile]; at != p.Path && at != path && err == nil {
					t.Fatalf("seed %d: %s is at %q, neither %q nor %q", seed, key, at, p.Path, path)
				}
			}
			if err == nil {
				w.agrees(nodes, outcome)
				if outcome.Code() != deploy.ExitDone {
					t.Fatalf("seed %d: life %d ends with %d: %v %v", seed, life, outcome.Code(), states(outcome), outcome.Findings)
				}
				break
			}
			if life == 3 {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
	}
	t.Logf("%d lives", runs)
}

// A run that died in an activation is resumed while the node does not answer: what became
// of the activation is unknown, and the next run asks the node.
func TestResumedWithoutTheNode(t *testing.T) {
	nodes := fleet(1, 1)
	w := newWorld(t, nodes)
	dir := t.TempDir()
	r := w.runner(dir, "")
	w.fault = func(op, _, profile string) fault {
		if op != "activate" || profile == deploy.SystemProfile {
			return none
		}
		_ = r.Journal.Close()
		return dies
	}
	if _, err := r.Run(t.Context(), deploy.Deploy, nodes, nodes); err == nil {
		t.Fatal("the run did not die")
	}
	w.fault = func(string, string, string) fault { return none }
	resumed := func(away bool) deploy.Outcome {
		t.Helper()
		w.nodes["n1"].unreached = away
		again := w.runner(dir, r.Journal.ID)
		if err := again.Journal.Append(deploy.Event{Type: deploy.TypeResume}); err != nil {
			t.Fatal(err)
		}
		again.History.Doubts = doubts(t, dir)
		o, err := again.Run(t.Context(), deploy.Deploy, nodes, nodes)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	for range 2 {
		o := resumed(true)
		if p := o.Profiles[1]; o.Code() == deploy.ExitDone || p.State != deploy.StateUnknown || p.Reason != deploy.ReasonLost || p.Doubt == nil || o.Counts()["unknown"] != 1 {
			t.Errorf("without the node it ended with %d: %v", o.Code(), states(o))
		}
	}
	if o := resumed(false); o.Code() != deploy.ExitDone {
		t.Errorf("with the node it ended with %d: %v", o.Code(), states(o))
	}
}

// doubts reads the doubts of all journals of a folder, as a new run does.
func doubts(t *testing.T, dir string) map[string]deploy.Doubt {
	t.Helper()
	found, err := deploy.ReadHistory(dir)
	if err != nil {
		t.Fatal(err)
	}
	return found.Doubts
}

// Every prefix of a journal can be read, and a line that was not finished is not an
// event.
func TestJournalEveryPrefix(t *testing.T) {
	nodes := fleet(1, 1)
	w := newWorld(t, nodes)
	dir := t.TempDir()
	r := w.runner(dir, "")
	if _, err := r.Run(t.Context(), deploy.Deploy, nodes, nodes); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, r.Journal.ID+".jsonl")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for length := range len(whole) {
		if err := os.WriteFile(path, whole[:length], 0o666); err != nil {
			t.Fatal(err)
		}
		events, err := deploy.ReadJournal(dir, r.Journal.ID)
		if err != nil || len(events) != strings.Count(string(whole[:length]), "\n") {
			t.Fatalf("of %d bytes: %d events, %v", length, len(events), err)
		}
		j, err := deploy.OpenJournal(dir, r.Journal.ID, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Append(deploy.Event{Type: deploy.TypeResume}); err != nil {
			t.Fatal(err)
		}
		_ = j.Close()
		if again, err := deploy.ReadJournal(dir, r.Journal.ID); err != nil || len(again) != max(len(events), 1)+1 {
			t.Fatalf("resumed after %d bytes: %d events, %v", length, len(again), err)
		}
	}
}

func TestSelection(t *testing.T) {
	nodes := fleet(3, 2)
	tests := []struct {
		reason    string
		selection deploy.Selection
		want      string
	}{
		{"all", deploy.Selection{}, "n1/system n1/env1-n1 n1/env2-n1 n2/system n2/env1-n2 n2/env2-n2 n3/system n3/env1-n3 n3/env2-n3"},
		{"a node", deploy.Selection{Nodes: []string{"n2"}}, "n2/system n2/env1-n2 n2/env2-n2"},
		{"environments everywhere", deploy.Selection{Profiles: []string{"env1-*"}}, "n1/env1-n1 n2/env1-n2 n3/env1-n3"},
		{"only systems", deploy.Selection{Profiles: []string{"system"}, Exclude: []string{"n3"}}, "n1/system n2/system"},
		{"all but one", deploy.Selection{Nodes: []string{"n[12]"}, Exclude: []string{"n1/env2-n1", "env1-n2"}}, "n1/system n1/env1-n1 n2/system n2/env2-n2"},
		{"a typing mistake", deploy.Selection{Nodes: []string{"n1", "m1"}, Profiles: []string{"evn*"}}, `2 problems|- -node "m1" matches no node of the plan|- -env "evn*" matches no enabled environment of the plan`},
		{"no pattern", deploy.Selection{Nodes: []string{"["}}, `"[" is not a valid pattern`},
		{"nothing is left", deploy.Selection{Nodes: []string{"n1"}, Exclude: []string{"n*"}}, "nothing is left to deploy"},
	}
	for _, test := range tests {
		selected, err := test.selection.Of(nodes)
		var keys []string
		for _, n := range selected {
			for _, p := range n.Profiles {
				keys = append(keys, p.Key())
			}
		}
		got := strings.Join(keys, " ")
		if err != nil {
			got = strings.ReplaceAll(err.Error(), "\n", "|")
		}
		if got != test.want {
			t.Errorf("%s: got %s, want %s", test.reason, got, test.want)
		}
	}
}

// A system waits for the environments that leave its node, and stays as it is if they
// do not arrive at the new one.
func TestSystemsWaitForMoves(t *testing.T) {
	for _, arrives := range []bool{true, false} {
		t.Run(fmt.Sprint("arrives ", arrives), func(t *testing.T) {
			nodes := fleet(2, 1)
			w := newWorld(t, nodes)
			w.fault = func(op, _, profile string) fault {
				if op == "activate" && profile == "env1-n2" && !arrives {
					return fails
				}
				return none
			}
			r := w.runner(t.TempDir(), "")
			r.Moves = []plan.Move{{User: "env1-n2", From: "n1", To: "n2"}}
			r.Options.Jobs = 1
			o, err := r.Run(t.Context(), deploy.Deploy, nodes, nodes)
			if err != nil {
				t.Fatal(err)
			}
			arrived, system := slices.Index(w.done, "activate n2/env1-n2"), slices.Index(w.done, "activate n1/system")
			if arrives && (arrived < 0 || system < arrived) {
				t.Errorf("the old node's system was activated before the environment was away: %v", w.done)
			}
			if got := states(o)["n1/system"]; !arrives && (system >= 0 || got != "skipped move-pending") {
				t.Errorf("the old node's system is %s though the environment has no new home: %v", got, w.done)
			}
		})
	}
	refusals := []struct {
		reason, code string
		moves        []plan.Move
		nodes        func([]deploy.Node) []deploy.Node
	}{
		{"the new node is not deployed", deploy.FindingMoveFirst, []plan.Move{{User: "env1-n2", From: "n1", To: "n2"}}, func(all []deploy.Node) []deploy.Node { return all[:1] }},
		{"they change places", deploy.FindingMoveCycle, []plan.Move{{User: "env1-n2", From: "n1", To: "n2"}, {User: "env1-n1", From: "n2", To: "n1"}}, func(all []deploy.Node) []deploy.Node { return all }},
	}
	for _, refusal := range refusals {
		t.Run(refusal.reason, func(t *testing.T) {
			nodes := fleet(2, 1)
			w := newWorld(t, nodes)
			r := w.runner(t.TempDir(), "")
			r.Moves = refusal.moves
			o, err := r.Run(t.Context(), deploy.Deploy, refusal.nodes(nodes), nodes)
			if err != nil {
				t.Fatal(err)
			}
			if len(o.Findings) != 1 || o.Findings[0].Finding.Code != refusal.code || o.Code() != deploy.ExitFailed || len(w.built) > 0 {
				t.Errorf("got %+v, %d", o.Findings, o.Code())
			}
			// A preview shows it, too, and also what would change.
			for _, mode := range []deploy.Mode{deploy.Preview, deploy.Look} {
				r := w.runner(t.TempDir(), "")
				r.Moves = refusal.moves
				o, err := r.Run(t.Context(), mode, refusal.nodes(nodes), nodes)
				if err != nil {
					t.Fatal(err)
				}
				if len(o.Findings) != 1 || o.Findings[0].Finding.Code != refusal.code || o.PreviewCode(true) != deploy.ExitFailed || len(o.Pending()) == 0 {
					t.Errorf("mode %d: got %+v, %d", mode, o.Findings, o.PreviewCode(true))
				}
			}
		})
	}
}

// from1 has the data of all environments on n1.
type from1 struct{ deploy.Mover }

func (from1) From(context.Context, deploy.Node, deploy.Profile) (string, error) { return "n1", nil }

// A node that another deploy has locked is reported once, and decides the exit code:
// the move that it prevents is not a second problem.
func TestMoveWithLockedNode(t *testing.T) {
	for _, locked := range []string{"n1", "n2"} {
		nodes := fleet(2, 1)
		w := newWorld(t, nodes)
		w.nodes[locked].locked = true
		r := w.runner(t.TempDir(), "")
		r.Moves = []plan.Move{{User: "env1-n2", From: "n1", To: "n2"}}
		r.Mover = from1{}
		o, err := r.Run(t.Context(), deploy.Deploy, nodes, nodes)
		if err != nil {
			t.Fatal(err)
		}
		if len(o.Findings) != 1 || o.Findings[0].Finding.Code != deploy.FindingLocked || o.Code() != deploy.ExitLocked {
			t.Errorf("%s is locked: %+v, %d", locked, o.Findings, o.Code())
		}
	}
}

// After a request to stop, the run starts no more work and leaves no profile
// undecided.
func TestStop(t *testing.T) {
	nodes := fleet(1, 2)
	w := newWorld(t, nodes)
	stop := make(chan struct{})
	w.fault = func(op, _, profile string) fault {
		if op == "activate" && profile == "system" {
			close(stop)
		}
		return none
	}
	r := w.runner(t.TempDir(), "")
	r.Stop = stop
	o, err := r.Run(t.Context(), deploy.Deploy, nodes, nodes)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"n1/system": "active", "n1/env1-n1": "skipped interrupted", "n1/env2-n1": "skipped interrupted"}
	if diff := cmp.Diff(want, states(o)); diff != "" || o.Code() != deploy.ExitInterrupted {
		t.Errorf("exit code %d, %s", o.Code(), diff)
	}
	w.agrees(nodes, o)
}

// If the run is stopped while nodes wait for their turn, it still records its end.
// Profiles that it has not started have no other reason than the interruption.
func TestStopWhileNodesWait(t *testing.T) {
	for _, atOnce := range []bool{true, false} {
		nodes := fleet(2, 3)
		w := newWorld(t, nodes)
		ctx, cancel := context.WithCancel(t.Context())
		r := w.runner(t.TempDir(), "")
		r.Options.Jobs = 1
		stop := make(chan struct{})
		r.Stop = stop
		there, stopped := 0, false
		w.fault = func(op, _, _ string) fault {
			if op == "push" {
				there++
			}
			if op == "activate" && there == len(nodes) && !stopped {
				stopped = true
				if atOnce {
					cancel()
				} else {
					close(stop)
				}
				time.Sleep(10 * time.Millisecond) // time for the other node to leave its queue
			}
			return none
		}
		o, err := r.Run(ctx, deploy.Deploy, nodes, nodes)
		cancel()
		if err != nil || !o.Ended || o.Code() != deploy.ExitInterrupted {
			t.Errorf("at once %v: exit code %d, ended %v: %v", atOnce, o.Code(), o.Ended, err)
		}
		skipped := 0
		for key, state := range states(o) {
			switch state {
			case "active":
			case "skipped interrupted":
				skipped++
			case "unknown interrupted": // it was being activated when the run was stopped at once
				if atOnce {
					continue
				}
				fallthrough
			default:
				t.Errorf("at once %v: %s is %s", atOnce, key, state)
			}
		}
		if skipped == 0 {
			t.Errorf("at once %v: it was not stopped", atOnce)
		}
		w.agrees(nodes, o)
	}
}

// silent is a Remote whose errors have no hint.
type silent struct{ deploy.Remote }

func (silent) Open(context.Context, deploy.Node, deploy.OpenOptions) (deploy.Session, error) {
	return nil, errors.New("the connection was lost")
}

// Every error that prevents a run has a hint.
func TestEveryRefusalHasHint(t *testing.T) {
	nodes := fleet(1, 1)
	r := newWorld(t, nodes).runner(t.TempDir(), "")
	r.Remote = silent{}
	o, err := r.Run(t.Context(), deploy.Deploy, nodes, nodes)
	if err != nil || len(o.Findings) != 1 || !strings.Contains(o.Findings[0].Finding.Hint, "ssh deploy@192.0.2.1") {
		t.Errorf("%+v, %v", o.Findings, err)
	}
}

// A profile whose activation has no known result is unknown, and never a success.
func TestLostNodeIsUnknown(t *testing.T) {
	nodes := fleet(1, 1)
	w := newWorld(t, nodes)
	gone := false
	w.fault = func(op, _, profile string) fault {
		if op == "activate" && profile == "system" {
			gone = true
			w.nodes["n1"].unreached = true
			return fails
		}
		if gone && op == "observe" {
			return disconnects
		}
		return none
	}
	dir := t.TempDir()
	r := w.runner(dir, "")
	o, err := r.Run(t.Context(), deploy.Deploy, nodes, nodes)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"n1/system": "unknown lost", "n1/env1-n1": "skipped system-failed"}
	if diff := cmp.Diff(want, states(o)); diff != "" || o.Code() != deploy.ExitFailed {
		t.Errorf("exit code %d, %s", o.Code(), diff)
	}
	if d, ok := doubts(t, dir)["n1/system"]; !ok || d.From != "/nix/store/0-system-old" || d.Exit == nil || *d.Exit != 1 {
		t.Errorf("doubt %+v, %v", d, ok)
	}
}

// If the run is stopped before the first activation, the run changes no node.
func TestStopWhileBuilding(t *testing.T) {
	nodes := fleet(2, 1)
	w := newWorld(t, nodes)
	stop := make(chan struct{})
	once := sync.OnceFunc(func() { close(stop) })
	w.fault = func(op, _, _ string) fault {
		if op == "build" {
			once()
		}
		return none
	}
	r := w.runner(t.TempDir(), "")
	r.Stop = stop
	o, err := r.Run(t.Context(), deploy.Deploy, nodes, nodes)
	if err != nil {
		t.Fatal(err)
	}
	for key, state := range states(o) {
		if state != "skipped interrupted" {
			t.Errorf("%s is %s", key, state)
		}
	}
	if o.Code() != deploy.ExitInterrupted || len(o.Profiles) != 4 || len(w.nodes["n1"].activated)+len(w.nodes["n2"].activated) > 0 {
		t.Errorf("exit code %d, %d profiles, %v", o.Code(), len(o.Profiles), w.done)
	}
	w.agrees(nodes, o)
}

// verifying is a Verifier that records which environments it has checked.
type verifying struct{ asked *[]string }

func (v verifying) Has(_ deploy.Node, profile string) (checks, enforced bool) {
	return profile != "system", true
}

func (v verifying) Verify(_ context.Context, _ deploy.Node, user string, which deploy.Asking) deploy.Verification {
	if which.Again == nil {
		*v.asked = append(*v.asked, user)
	}
	return deploy.Verification{Enforce: true, Checks: []deploy.Check{{URL: "http://" + user + "/", Problem: "it is broken"}}}
}

// If a run died after an activation, the run that finds the profile active verifies
// it, and takes it back if that fails. It does not verify a profile that was in sync before.
func TestAdoptedIsVerified(t *testing.T) {
	nodes := fleet(1, 2)
	nodes[0].Activations = 1
	w := newWorld(t, nodes)
	dir := t.TempDir()
	r := w.runner(dir, "")
	w.fault = func(op, _, profile string) fault {
		if op == "activate" && profile == "env2-n1" {
			_ = r.Journal.Close() // of a process that is dead
			return dies
		}
		return none
	}
	if _, err := r.Run(t.Context(), deploy.Deploy, nodes, nodes); err == nil {
		t.Fatal("it lives")
	}
	w.fault = func(string, string, string) fault { return none }
	var asked []string
	again := w.runner(dir, r.Journal.ID)
	again.Verifier = verifying{&asked}
	again.History.Doubts = doubts(t, dir)
	o, err := again.Run(t.Context(), deploy.Deploy, nodes, nodes)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"env2-n1"}, asked); diff != "" || states(o)["n1/env2-n1"] != "failed health" || o.Code() != deploy.ExitPartial {
		t.Errorf("exit code %d, %v, %s", o.Code(), states(o), diff)
	}
}

// The last event of a preview has the exit code of the program.
func TestPreviewCode(t *testing.T) {
	for _, test := range []struct {
		detailed bool
		prepare  func(*world)
		want     int
	}{
		{false, func(*world) {}, deploy.ExitDone},
		{true, func(*world) {}, deploy.ExitChanges},
		{true, func(w *world) { w.fault = func(op, _, _ string) fault { return map[string]fault{"build": fails}[op] } }, deploy.ExitFailed},
		{true, func(w *world) { w.nodes["n1"].os = "debian" }, deploy.ExitFailed},
	} {
		nodes := fleet(1, 1)
		w := newWorld(t, nodes)
		test.prepare(w)
		r := w.runner(t.TempDir(), "")
		r.Options.DetailedExitcode = test.detailed
		o, err := r.Run(t.Context(), deploy.Preview, nodes, nodes)
		if err != nil {
			t.Fatal(err)
		}
		events := r.Journal.Events()
		if end := events[len(events)-1].End; end == nil || end.Code != test.want || o.PreviewCode(test.detailed) != test.want {
			t.Errorf("the end is %+v, and the code %d, want %d", end, o.PreviewCode(test.detailed), test.want)
		}
	}
}

// hanging is an activator with which the activation of one environment does not end.
type hanging struct {
	deploy.Activator
	user   string
	prints bool
}

func (h hanging) Activate(ctx context.Context, n deploy.Node, p deploy.Profile, how deploy.ActivateOptions, log io.Writer) error {
	if p.Name != h.user {
		return h.Activator.Activate(ctx, n, p, how, log)
	}
	for h.prints && ctx.Err() == nil {
		if _, err := log.Write(make([]byte, 1<<20)); err != nil {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// An activation that does not end, or prints without end, fails its environment, and
// others are deployed.
func TestActivationThatHangs(t *testing.T) {
	for _, tt := range []struct {
		limit  time.Duration
		prints bool
		want   string
		state  string
	}{
		{50 * time.Millisecond, false, "its activation took longer than 50ms, and the node did not end it within 101ms", "failed timeout"},
		{time.Minute, true, "its activation printed more than 64 MiB", "failed activation"},
	} {
		nodes := fleet(1, 2)
		nodes[0].Profiles[1].Limit = tt.limit
		w := newWorld(t, nodes)
		r := w.runner(t.TempDir(), "")
		r.Activator = hanging{w, "env1-n1", tt.prints}
		r.Options.EndTime = time.Millisecond
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		o, err := r.Run(ctx, deploy.Deploy, nodes, nodes)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"n1/system": "active", "n1/env1-n1": tt.state, "n1/env2-n1": "active"}
		if diff := cmp.Diff(want, states(o)); diff != "" {
			t.Error(diff)
		}
		for _, p := range o.Profiles {
			if p.Profile == "env1-n1" && !strings.Contains(p.Error, tt.want) {
				t.Errorf("%+v", p)
			}
		}
	}
}
