package deploy_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// judging is a Verifier that judges the path that is active on a node. It keeps the
// paths that it has asked, with those that it has asked again.
type judging struct {
	w      *world
	asked  *[]string
	enforc bool
	// says returns the problem of a check ("" for none) of a path, and whether that is
	// known; count counts the calls for the path.
	says func(path string, count int) (problem string, unknown bool)
	has  func(profile string) bool
}

func (j judging) Has(_ deploy.Node, profile string) (checks, enforced bool) {
	return j.has == nil && profile != "system" || j.has != nil && j.has(profile), j.enforc
}

func (j judging) Verify(ctx context.Context, n deploy.Node, profile string, which deploy.Asking) deploy.Verification {
	check := deploy.Check{Name: "health", VirtualHost: "www.test", URL: "http://www.test/", Problem: "interrupted", Unknown: true}
	if ctx.Err() == nil {
		j.w.mu.Lock()
		path := strings.TrimPrefix(j.w.nodes[n.Name].active[profile], "/nix/store/")
		if path == "" {
			path = "nothing"
		}
		count := 0
		for _, p := range *j.asked {
			if p == path {
				count++
			}
		}
		*j.asked = append(*j.asked, path)
		j.w.mu.Unlock()
		check.Problem, check.Unknown = j.says(path, count)
		check.OK = check.Problem == ""
	}
	return deploy.Verification{Enforce: j.enforc, Checks: []deploy.Check{check}}
}

// Enforced checks decide whether a path that was activated stays.
func TestHealthDecides(t *testing.T) {
	const env, old, path = "env1-n1", "0-env", "1-env1-n1"
	broken := func(paths ...string) func(string, int) (string, bool) {
		return func(path string, _ int) (string, bool) {
			for _, p := range paths {
				if p == path {
					return "the status is 500", false
				}
			}
			return "", false
		}
	}
	gone := false // the node
	for _, tt := range []struct {
		reason   string
		prepare  func(*world)
		lenient  bool
		keep     bool
		patience time.Duration
		says     func(path string, count int) (string, bool)
		want     string
		active   string
		asked    string
		code     int
	}{
		{reason: "it works", prepare: had(env), says: broken(), want: "active", active: path, asked: "0-env 1-env1-n1"},
		{reason: "it fails, and goes back", prepare: had(env), says: broken(path), want: "failed health", active: old, asked: "0-env 1-env1-n1 0-env", code: 3},
		{reason: "both fail", prepare: had(env), says: broken(path, old), want: "active", active: path, asked: "0-env 1-env1-n1"},
		{reason: "the old one fails", prepare: had(env), says: broken(old), want: "active", active: path, asked: "0-env 1-env1-n1"},
		{reason: "it is new, and fails", says: broken(path), want: "failed health", asked: "1-env1-n1", code: 3},
		{reason: "it is not enforced", prepare: had(env), lenient: true, says: broken(path), want: "active", active: path, asked: "1-env1-n1"},
		{reason: "the operator keeps it", prepare: had(env), keep: true, says: broken(path), want: "active", active: path, asked: "0-env 1-env1-n1", code: 3},
		{reason: "it is slow to start", prepare: had(env), patience: time.Minute, says: func(p string, count int) (string, bool) {
			if p == path && count < 3 {
				return "the status is 502", false
			}
			return "", false
		}, want: "active", active: path, asked: "0-env 1-env1-n1 1-env1-n1 1-env1-n1 1-env1-n1"},
		{reason: "it is too slow", prepare: had(env), patience: 30 * time.Second, says: broken(path), want: "failed health", active: old,
			asked: "0-env 1-env1-n1 1-env1-n1 1-env1-n1 1-env1-n1 0-env", code: 3},
		{reason: "the front door is closed", prepare: had(env), says: func(p string, _ int) (string, bool) {
			if p == path {
				return "connection refused", true
			}
			return "", false
		}, want: "active", active: path, asked: "0-env 1-env1-n1", code: 3},
		{reason: "the node does not answer", prepare: func(w *world) {
			had(env)(w)
			w.fault = func(op, _, _ string) fault {
				if op == "observe" && gone {
					return disconnects
				}
				return none
			}
		}, says: func(p string, _ int) (string, bool) {
			if gone = p == path; gone {
				return "timed out", false
			}
			return "", false
		}, want: "active", active: path, asked: "0-env 1-env1-n1", code: 3},
		{reason: "it cannot go back", prepare: func(w *world) {
			had(env)(w)
			w.fault = func(op, _, _ string) fault {
				if op == "restore" {
					return fails
				}
				return none
			}
		}, says: broken(path), want: "failed health", active: path, asked: "0-env 1-env1-n1", code: 3},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				nodes := fleet(1, 1)
				w := newWorld(t, nodes)
				if tt.prepare != nil {
					tt.prepare(w)
				}
				dir := t.TempDir()
				r := w.runner(dir, "")
				var asked []string
				r.Verifier = judging{w: w, asked: &asked, enforc: !tt.lenient, says: tt.says}
				r.Options.Keep = tt.keep
				if tt.patience > 0 {
					r.Options.Patience = tt.patience
				}
				o, err := r.Run(t.Context(), deploy.Deploy, nodes, nodes)
				if err != nil {
					t.Fatal(err)
				}
				got := strings.TrimPrefix(w.nodes["n1"].active[env], "/nix/store/")
				if states(o)["n1/"+env] != tt.want || got != tt.active || o.Code() != tt.code || strings.Join(asked, " ") != tt.asked {
					t.Errorf("%s at %q, exit code %d, asked %q; want %s at %q, %d, %q", states(o)["n1/"+env], got, o.Code(), asked, tt.want, tt.active, tt.code, tt.asked)
				}
				w.agrees(nodes, o)
				for _, p := range o.Profiles {
					if p.State == deploy.StateFailed && (p.Error == "" || p.Hint == "") {
						t.Errorf("%+v", p)
					}
				}
				// If it could not go back, the next run does.
				if tt.want != "failed health" || tt.active != path {
					return
				}
				w.fault = func(string, string, string) fault { return none }
				again := w.runner(dir, "")
				again.Verifier, again.History = r.Verifier, historyOf(t, dir)
				if o, err = again.Run(t.Context(), deploy.Deploy, nodes, nodes); err != nil {
					t.Fatal(err)
				}
				if got := w.nodes["n1"].active[env]; got != "/nix/store/"+old || states(o)["n1/"+env] != "failed health" {
					t.Errorf("the next run: %s at %s", states(o)["n1/"+env], got)
				}
			})
		})
	}
}

func historyOf(t *testing.T, dir string) deploy.History {
	t.Helper()
	found, err := deploy.ReadHistory(dir)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A run that dies while checks decide is resumed by the path and the baseline that its
// journal has.
func TestHealthIsDecidedAfterDeath(t *testing.T) {
	const env = "env1-n1"
	for _, failedBefore := range []bool{false, true} {
		for _, resumes := range []bool{false, true} {
			nodes := fleet(1, 1)
			w := newWorld(t, nodes)
			had(env)(w)
			dir := t.TempDir()
			r := w.runner(dir, "")
			var asked []string
			dead := false
			r.Verifier = judging{w: w, asked: &asked, enforc: true, says: func(path string, _ int) (string, bool) {
				if path == "1-env1-n1" && !dead {
					dead = true
					_ = r.Journal.Close()
				}
				if path == "1-env1-n1" || failedBefore {
					return "broken", false
				}
				return "", false
			}}
			if _, err := r.Run(t.Context(), deploy.Deploy, nodes, nodes); err == nil {
				t.Fatal("it lives")
			}
			id := ""
			if resumes {
				id = r.Journal.ID
			}
			w.nodes["n1"].active[env] = "/nix/store/1-env1-n1" // whatever the dead process would have done
			w.nodes["n1"].good[env] = true
			again := w.runner(dir, id)
			again.Verifier, again.History = r.Verifier, historyOf(t, dir)
			o, err := again.Run(t.Context(), deploy.Deploy, nodes, nodes)
			if err != nil {
				t.Fatal(err)
			}
			want, path := "failed health", "/nix/store/0-env"
			if failedBefore {
				want, path = "active adopted", "/nix/store/1-env1-n1"
			}
			if got := w.nodes["n1"].active[env]; states(o)["n1/"+env] != want || got != path {
				t.Errorf("failed before: %v, resumed: %v: %s at %s, asked %q", failedBefore, resumes, states(o)["n1/"+env], got, asked)
			}
		}
	}
}

// An interruption during the checks leaves the path, and the next run decides.
func TestInterruptedChecks(t *testing.T) {
	const env = "env1-n1"
	for _, hard := range []bool{false, true} {
		nodes := fleet(1, 1)
		w := newWorld(t, nodes)
		had(env)(w)
		dir := t.TempDir()
		r := w.runner(dir, "")
		ctx, cancel := context.WithCancel(t.Context())
		stop := make(chan struct{})
		r.Stop = stop
		r.Options.Patience = time.Hour
		var asked []string
		stopped := false
		r.Verifier = judging{w: w, asked: &asked, enforc: true, says: func(path string, _ int) (string, bool) {
			if path != "1-env1-n1" {
				return "", false
			}
			if !stopped {
				stopped = true
				if hard {
					cancel()
				} else {
					close(stop)
				}
			}
			return "broken", false
		}}
		o, err := r.Run(ctx, deploy.Deploy, nodes, nodes)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		if states(o)["n1/"+env] != "active" || o.Code() != deploy.ExitInterrupted {
			t.Errorf("hard %v: %v, exit code %d", hard, states(o), o.Code())
		}
		again := w.runner(dir, "")
		again.Verifier, again.History = r.Verifier, historyOf(t, dir)
		if o, err = again.Run(t.Context(), deploy.Deploy, nodes, nodes); err != nil {
			t.Fatal(err)
		}
		if got := w.nodes["n1"].active[env]; states(o)["n1/"+env] != "failed health" || got != "/nix/store/0-env" {
			t.Errorf("hard %v, afterwards: %v at %s", hard, states(o), got)
		}
	}
}

// A system that fails its checks goes back, and its environments stay as they are. If a
// system is activated, the baseline of its environments is made after that.
func TestHealthOfSystems(t *testing.T) {
	nodes := fleet(2, 1)
	w := newWorld(t, nodes)
	had("env1-n1")(w)
	var asked []string
	r := w.runner(t.TempDir(), "")
	r.Verifier = judging{w: w, asked: &asked, enforc: true, has: func(string) bool { return true }, says: func(path string, _ int) (string, bool) {
		if path == "1-system-n1" {
			return "broken", false
		}
		return "", false
	}}
	o, err := r.Run(t.Context(), deploy.Deploy, nodes, nodes)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"n1/system": "failed health", "n1/env1-n1": "skipped system-failed", "n2/system": "active", "n2/env1-n2": "active"}
	if diff := cmp.Diff(want, states(o)); diff != "" || w.nodes["n1"].active["system"] != "/nix/store/0-system-old" {
		t.Errorf("%s at %s", diff, w.nodes["n1"].active["system"])
	}
	w.agrees(nodes, o)
	if strings.Contains(strings.Join(asked, " "), "0-env") {
		t.Errorf("asked %q", asked)
	}
}

// An environment that moves and fails is removed from its new node, and the system of
// its old node, where it runs on, waits.
func TestHealthOfMoved(t *testing.T) {
	nodes := fleet(2, 1)
	w := newWorld(t, nodes)
	var asked []string
	r := w.runner(t.TempDir(), "")
	r.Moves = []plan.Move{{User: "env1-n2", From: "n1", To: "n2"}}
	r.Verifier = judging{w: w, asked: &asked, enforc: true, says: func(path string, _ int) (string, bool) {
		if path == "1-env1-n2" {
			return "broken", false
		}
		return "", false
	}}
	o, err := r.Run(t.Context(), deploy.Deploy, nodes, nodes)
	if err != nil {
		t.Fatal(err)
	}
	if s := states(o); s["n2/env1-n2"] != "failed health" || s["n1/system"] != "skipped move-pending" || o.Deployed()["env1-n2"] != "" {
		t.Errorf("%v", s)
	}
}

// Of equal checks the order counts.
func TestAfter(t *testing.T) {
	check := func(url, problem string) deploy.Check {
		return deploy.Check{URL: url, OK: problem == "", Problem: problem}
	}
	before := deploy.Verification{Enforce: true, Checks: []deploy.Check{check("a", ""), check("a", "broken"), check("b", "broken"), {URL: "c", Unknown: true, Problem: "refused"}}}
	after := deploy.Verification{Enforce: true, Checks: []deploy.Check{check("a", "broken"), check("a", "broken"), check("b", ""), check("c", "broken"), check("d", "broken")}}
	var failed []bool
	for _, c := range after.After(&before).Checks {
		failed = append(failed, c.FailedBefore)
	}
	if diff := cmp.Diff([]bool{false, true, false, false, false}, failed); diff != "" {
		t.Error(diff)
	}
}
