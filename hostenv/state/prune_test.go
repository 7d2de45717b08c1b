package state_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// pruneWorld has one live environment and two retired ones.
func pruneWorld(t *testing.T) state.State {
	live := env("acme/site/main", "a.test")
	return planned(t, claims{live, env("beta/b/main", "b.test", "www.b.test"), env("cond/c/main", "c.test")}, claims{live})
}

func TestPrune(t *testing.T) {
	released := func(host, user string) string {
		return "hostname " + host + ": release (pruned) {owner:" + user + "} > {}"
	}
	b := []string{released("b.test", "beta-b-main"), released("www.b.test", "beta-b-main")}
	c := []string{released("c.test", "cond-c-main")}
	tests := []struct {
		reason  string
		users   []string
		changes []string
		errs    []string
	}{
		{"no users: all retired environments", nil, []string{b[0], c[0], b[1]}, nil},
		{"one user", []string{"beta-b-main"}, b, nil},
		{"two users in any order; changes are sorted by host name", []string{"cond-c-main", "beta-b-main"}, []string{b[0], c[0], b[1]}, nil},
		{"one user named twice", []string{"cond-c-main", "cond-c-main"}, c, nil},
		{"a live environment keeps its names", []string{"acme-site-main"}, nil, []string{`entry "acme-site-main": is live, and its names are in use`}},
		{"an unknown user", []string{"x"}, nil, []string{`entry "x": there is no such user`}},
		{"all errors together; no name is released", []string{"x", "beta-b-main", "acme-site-main"}, nil, []string{
			`entry "x": there is no such user`, `entry "acme-site-main": is live, and its names are in use`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			before := pruneWorld(t)
			bytes := string(before.Encode())
			after, changes, err := before.Prune(tt.users...)
			if diff := cmp.Diff(tt.errs, problems(t, err)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.changes, describe(changes)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(bytes, string(before.Encode())); diff != "" {
				t.Errorf("Prune changed its receiver:\n%s", diff)
			}
			if err != nil {
				return
			}
			if diff := cmp.Diff(uids(before), uids(after)); diff != "" {
				t.Errorf("UIDs changed:\n%s", diff)
			}
			want := owners(before)
			for _, change := range changes {
				delete(want, change.Key)
			}
			if diff := cmp.Diff(want, owners(after)); diff != "" {
				t.Errorf("the changes and the free names differ:\n%s", diff)
			}
			again, changes, err := after.Prune(tt.users...)
			if err != nil || len(changes) > 0 {
				t.Errorf("the second time: %v, %q", err, describe(changes))
			}
			same(t, "the second time", after, again)
		})
	}
}

// Any environment can claim a pruned name. An environment that comes back has its
// UID, but not the names that others have claimed since.
func TestReviveAfterPrune(t *testing.T) {
	main, b := env("acme/site/main", "a.test"), env("beta/b/main", "b.test", "www.b.test")
	pruned, _, err := pruneWorld(t).Prune("beta-b-main")
	if err != nil {
		t.Fatal(err)
	}
	taken := next(t, pruned, request(env("acme/site/main", "a.test", "b.test"))).State
	back := next(t, taken, request(env("acme/site/main", "a.test", "b.test"), env("beta/b/main", "www.b.test"))).State
	if e := back.Entries["beta-b-main"]; e.UID != 1003 || e.Retired {
		t.Errorf("beta-b-main came back as %+v", e)
	}
	_, err = taken.Next(request(env("acme/site/main", "a.test", "b.test"), b))
	if err == nil || !strings.Contains(err.Error(), "belongs to acme-site-main") {
		t.Errorf("a plan with a name of another environment: %v", err)
	}
	next(t, pruned, request(main, b))
}

func TestWithDeployed(t *testing.T) {
	before := pruneWorld(t)
	bytes := string(before.Encode())
	after := before.WithDeployed(map[string]string{"acme-site-main": "n9", "beta-b-main": "n8", "unknown": "n7"})
	if string(before.Encode()) != bytes {
		t.Error("WithDeployed changed its receiver")
	}
	got := map[string]string{}
	for user, e := range after.Entries {
		got[user] = e.Node + " " + e.DeployedNode
	}
	want := map[string]string{"acme-site-main": "n1 n9", "beta-b-main": "n1 n8", "cond-c-main": "n1 "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("placed and deployed (a user without an entry gets none):\n%s", diff)
	}
	// A plan on another node does not change the deployed node.
	moved := next(t, after, request(onNode("n2", env("acme/site/main", "a.test")))).State
	if e := moved.Entries["acme-site-main"]; e.Node != "n2" || e.DeployedNode != "n9" {
		t.Errorf("placed on %q, deployed to %q", e.Node, e.DeployedNode)
	}
	same(t, "deployed again", after, after.WithDeployed(map[string]string{"acme-site-main": "n9"}))
}

// Changes to a copy do not affect the original.
func TestClone(t *testing.T) {
	s := pruneWorld(t)
	bytes := string(s.Encode())
	c := s.Clone()
	e := c.Entries["acme-site-main"]
	e.VirtualHosts[0] = "changed.test"
	c.Entries["acme-site-main"], c.Entries["new"] = e, state.Entry{UserName: "new", UID: 2000}
	delete(c.Entries, "beta-b-main")
	if diff := cmp.Diff(bytes, string(s.Encode())); diff != "" {
		t.Error(diff)
	}
}

// The renderings of a change as text and as JSON have the same fields.
func TestChangeValue(t *testing.T) {
	changes := []state.Change{
		{Kind: state.KindNode, Key: "n1", Action: state.Create, Reason: state.ReasonNew},
		{Kind: state.KindHostname, Key: "b.test", Action: state.Release, Reason: state.ReasonPruned, Before: map[string]any{"owner": "a"}},
		{Kind: state.KindEnvironment, Key: "z", Action: state.Move, Reason: state.ReasonRenamed},
		{Kind: state.KindEnvironment, Key: "z", Action: state.Move, Reason: state.ReasonPlacement},
		{Kind: state.KindEnvironment, Key: "a", Action: state.Update, Reason: state.ReasonAdopted},
	}
	slices.SortFunc(changes, state.CompareChanges)
	want := []string{
		"environment a: update (adopted) {} > {}",
		"environment z: move (placement) {} > {}",
		"environment z: move (renamed) {} > {}",
		"hostname b.test: release (pruned) {owner:a} > {}",
		"node n1: create (new) {} > {}",
	}
	if diff := cmp.Diff(want, describe(changes)); diff != "" {
		t.Error(diff)
	}
	value := map[string]any{
		"kind": "hostname", "key": "b.test", "action": "release", "reason": "pruned",
		"before": map[string]any{"owner": "a"}, "after": nil,
	}
	if diff := cmp.Diff(value, changes[3].Value()); diff != "" {
		t.Error(diff)
	}
}
