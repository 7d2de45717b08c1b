package deploy_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// Decide activates a path again only if it is unknown whether it came up.
func TestDecide(t *testing.T) {
	const old, path = "/nix/store/0-old", "/nix/store/1-new"
	status := func(n int) *int { return &n }
	n := deploy.Node{Name: "n1", AutoRollback: true, MagicRollback: true}
	for _, test := range []struct {
		reason string
		active string
		cameUp string // the path that the node recorded as activated
		runs   string // another system than the active one
		doubt  *deploy.Doubt
		want   deploy.Decision
	}{
		{"it is there", path, path, "", nil, deploy.Decision{State: deploy.StateInSync}},
		{"a doubt of another path", path, path, "", &deploy.Doubt{Path: old}, deploy.Decision{State: deploy.StateInSync}},
		{"it is new", "", "", "", nil, deploy.Decision{State: deploy.StatePending, Reason: deploy.ReasonNew}},
		{"it changes", old, old, "", nil, deploy.Decision{State: deploy.StatePending, Reason: deploy.ReasonChanged, From: old, Rollback: true}},
		{"the node went back", old, old, "", &deploy.Doubt{From: old, Path: path}, deploy.Decision{State: deploy.StatePending, Reason: deploy.ReasonChanged, From: old, Rollback: true}},
		{"deploy-rs reported success", path, old, "", &deploy.Doubt{From: old, Path: path, Exit: status(0)}, deploy.Decision{State: deploy.StateActive, Reason: deploy.ReasonAdopted, From: old}},
		{"deploy-rs reported a failure", path, old, "", &deploy.Doubt{From: old, Path: path, Exit: status(1)}, deploy.Decision{State: deploy.StatePending, Reason: deploy.ReasonDoubtful, From: old}},
		{"the node reports success", path, path, "", &deploy.Doubt{From: old, Path: path}, deploy.Decision{State: deploy.StateActive, Reason: deploy.ReasonAdopted, From: old}},
		{"neither the node nor deploy-rs reports success", path, old, "", nil, deploy.Decision{State: deploy.StatePending, Reason: deploy.ReasonDoubtful, From: path}},
		// If activate-rs cannot print, it ends before it goes back.
		{"deploy-rs died, too", path, old, "", &deploy.Doubt{From: old, Path: path}, deploy.Decision{State: deploy.StatePending, Reason: deploy.ReasonDoubtful, From: old}},
		{"and it was the first", path, "", "", &deploy.Doubt{Path: path}, deploy.Decision{State: deploy.StatePending, Reason: deploy.ReasonDoubtful}},
		{"the node runs another system", path, path, old, nil, deploy.Decision{State: deploy.StatePending, Reason: deploy.ReasonNotRunning, From: old}},
		{"and it is known what was active before", path, path, old, &deploy.Doubt{From: "/nix/store/0-older", Path: path}, deploy.Decision{State: deploy.StatePending, Reason: deploy.ReasonNotRunning, From: "/nix/store/0-older"}},
		{"and the doubt is of another path", path, "", old, &deploy.Doubt{From: "/nix/store/0-older", Path: "/nix/store/2-x"}, deploy.Decision{State: deploy.StatePending, Reason: deploy.ReasonNotRunning, From: old}},
	} {
		if got := deploy.Decide(n, deploy.Profile{Path: path}, deploy.Observed{Active: test.active, Activated: test.cameUp, Running: test.runs}, test.doubt); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.reason, got, test.want)
		}
	}
}

// The node's root of the path before counts if no journal knows that path.
func TestDecideFromTheRoot(t *testing.T) {
	const old, path = "/nix/store/0-old", "/nix/store/1-new"
	n := deploy.Node{Name: "n1", AutoRollback: true, MagicRollback: true}
	for _, test := range []struct {
		reason, previous string
		doubt            *deploy.Doubt
		want             string
	}{
		{"in another checkout", old, nil, old},
		{"with a doubt of another path", old, &deploy.Doubt{From: "/nix/store/0-older", Path: "/nix/store/2-x"}, old},
		{"with the doubt", "/nix/store/0-older", &deploy.Doubt{From: old, Path: path}, old},
		{"with the doubt of a first activation", old, &deploy.Doubt{Path: path}, ""},
		{"without either", "", nil, path},
	} {
		want := deploy.Decision{State: deploy.StatePending, Reason: deploy.ReasonDoubtful, From: test.want}
		if got := deploy.Decide(n, deploy.Profile{Path: path}, deploy.Observed{Active: path, Previous: test.previous}, test.doubt); got != want {
			t.Errorf("%s: %+v, want %+v", test.reason, got, want)
		}
	}
}

// A run in another checkout than the one that died takes a version that fails back to
// the path that the node's root has.
func TestGoesBackToTheRoot(t *testing.T) {
	nodes := fleet(1, 1)
	w := newWorld(t, nodes)
	user := nodes[0].Profiles[1]
	m := w.nodes["n1"]
	for _, p := range nodes[0].Profiles {
		m.active[p.Name], m.good[p.Name] = p.Path, true
	}
	m.users[user.User] = user.UID
	m.good[user.Name] = false // it did not come up
	const old = "/nix/store/0-env-old"
	m.roots[user.Name+"-previous"] = old
	w.fault = func(op, _, profile string) fault {
		if op == "activate" && profile == user.Name {
			return failsStuck
		}
		return none
	}
	if o := w.deploy(nodes); states(o)[user.Key()] != "failed activation" || m.active[user.Name] != old {
		t.Errorf("%v, and the node has %s", states(o), m.active[user.Name])
	}
}

// A doubt lasts until the result for the same path is known.
func TestDoubts(t *testing.T) {
	const old, path = "/nix/store/0-old", "/nix/store/1-new"
	left := deploy.ProfileOutcome{Node: "n1", Profile: "a", State: deploy.StateUnknown, Doubt: &deploy.Doubt{From: old, Path: path}}
	for _, test := range []struct {
		reason string
		state  deploy.State
		cause  deploy.Reason
		active string
		lasts  bool
	}{
		{"it was activated", deploy.StateActive, "", path, false},
		{"it failed, and the old path is active again", deploy.StateFailed, deploy.ReasonActivation, old, false},
		{"it failed before it was touched", deploy.StateFailed, deploy.ReasonActivation, path, true},
		{"it was not built", deploy.StateFailed, deploy.ReasonBuild, path, true},
		{"it was skipped", deploy.StateSkipped, deploy.ReasonInterrupted, path, true},
	} {
		later := deploy.ProfileOutcome{Node: "n1", Profile: "a", State: test.state, Reason: test.cause, Active: test.active}
		runs := []deploy.Outcome{{Run: "1", Profiles: []deploy.ProfileOutcome{left}}, {Run: "2", Profiles: []deploy.ProfileOutcome{later}}}
		found := deploy.Doubts(runs, func(string, string, string) *int { return nil })
		if _, lasts := found["n1/a"]; lasts != test.lasts {
			t.Errorf("%s: the doubt lasts: %v", test.reason, lasts)
		}
	}
}

// The newest run is the last, even if the clock goes back.
func TestRunsAreInOrder(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 11, 23, 4, 5, 6, 789, time.UTC)
	var last string
	for i, at := range []time.Time{now, now, now.Add(time.Second), now.Add(-time.Hour), now.Add(time.Minute)} {
		j, err := deploy.CreateJournal(dir, at, nil, deploy.Event{Type: deploy.TypeRun, Start: &deploy.Start{Plan: "x"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		ids, err := deploy.Runs(dir)
		if err != nil || len(ids) != i+1 || ids[i] != j.ID || j.ID <= last {
			t.Fatalf("%v (%v) after %s was begun after %s", ids, err, j.ID, last)
		}
		last = j.ID
		if events := j.Events(); len(events) != 2 || events[1].Start == nil || events[1].Run != j.ID {
			t.Errorf("it begins with %+v", events)
		}
	}
}

// One node that fails does not hide the others.
func TestSurveyContinuesAfterError(t *testing.T) {
	nodes := fleet(2, 1)
	w := newWorld(t, nodes)
	w.deploy(nodes)
	all, err := deploy.Survey(t.Context(), refusing{w}, nodes)
	var key *deploy.HostKeyError
	if !errors.As(err, &key) {
		t.Error(err)
	}
	var standings []string
	for _, s := range all {
		standings = append(standings, s.Node+" "+string(s.Standing))
	}
	if got := strings.Join(standings, ", "); got != "n1 unreachable, n1 unreachable, n2 in-sync, n2 in-sync" {
		t.Error(got)
	}
}

// refusing shows another host key for n1.
type refusing struct{ *world }

func (r refusing) Open(ctx context.Context, n deploy.Node, how deploy.OpenOptions) (deploy.Session, error) {
	if n.Name == "n1" {
		return nil, &deploy.HostKeyError{Node: n.Name, Cause: "it is another"}
	}
	return r.world.Open(ctx, n, how)
}

func TestSettle(t *testing.T) {
	const old, planned, other = "/nix/store/0-a", "/nix/store/1-a", "/nix/store/9-a"
	up := func(path string) deploy.Observed { return deploy.Observed{Active: path, Activated: path} }
	down := func(path string) deploy.Observed { return deploy.Observed{Active: path} }
	runs := func(path, running string) deploy.Observed { return deploy.Observed{Active: path, Running: running} }
	tests := []struct {
		reason      string
		from        string
		before, now deploy.Observed
		succeeded   bool
		want        deploy.Settlement
	}{
		{"it came up", old, up(old), up(planned), true, deploy.SettledActive},
		{"it came up, and the run did not learn of it", old, up(old), up(planned), false, deploy.SettledActive},
		{"it came up on a node that does not say so", old, down(old), down(planned), true, deploy.SettledActive},
		{"it did not, and the node went back", old, up(old), up(old), false, deploy.SettledBack},
		{"the node went back to what is not known to be up", old, down(old), down(old), false, deploy.SettledBack},
		{"the node went back, and does not run that", old, down(old), runs(old, planned), false, deploy.SettledRestore},
		{"the node went back, and runs neither, as before", old, runs(old, other), runs(old, other), false, deploy.SettledBack},
		{"the node went back, and that is down now", old, up(old), down(old), false, deploy.SettledRestore},
		{"the node stayed", old, up(old), down(planned), false, deploy.SettledRestore},
		{"the node went elsewhere", old, up(old), up(other), false, deploy.SettledRestore},
		{"a success elsewhere", old, up(old), up(old), true, deploy.SettledBack},
		{"a first one stayed", "", deploy.Observed{}, down(planned), false, deploy.SettledRemove},
		{"a first one left nothing", "", deploy.Observed{}, deploy.Observed{}, false, deploy.SettledBack},
		{"it is not known what was there before", planned, down(planned), down(planned), false, deploy.SettledStuck},
	}
	for _, test := range tests {
		if got := deploy.Settle(deploy.Profile{Name: "a", Path: planned}, test.from, test.before, test.now, test.succeeded); got != test.want {
			t.Errorf("%s: %s, want %s", test.reason, got, test.want)
		}
	}
	if got := deploy.Settle(deploy.Profile{Name: "system", Path: planned}, "", deploy.Observed{}, down(planned), false); got != deploy.SettledStuck {
		t.Errorf("a first system that fails: %s", got)
	}
}
