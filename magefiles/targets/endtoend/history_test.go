package endtoend_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/internal/fleet"
)

// history returns what `mage history -json` prints.
func (w *world) history(args ...string) (result, []deploy.Deployment) {
	w.t.Helper()
	r := w.wants(w.run(append([]string{"history", "-json"}, args...)...), 0)
	var all []deploy.Deployment
	for line := range strings.Lines(r.stdout) {
		var d deploy.Deployment
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			w.t.Fatal(err)
		}
		all = append(all, d)
	}
	return r, all
}

// The nodes and the journals tell the same of three deploys: the first, one of which an
// environment fails, and one that only has to bring that. A deploy of nothing is none.
func TestHistory(t *testing.T) {
	w := newWorld(t, standIn(t), fleet.Options{Nodes: 2, Environments: 1})
	n1, n2 := w.Nodes[0], w.Nodes[1]
	user := n1.Users()[0]
	w.wants(w.deploy(), 0)
	first := w.Provider.Paths(t)
	w.wants(w.deploy(), 0)
	w.Provider.SetVersion(t, "2", "n1/system", "n1/"+user)
	second := w.Provider.Paths(t)
	n1.OnActivation(t, user, fleet.Behaviour{Fail: 3})
	w.wants(w.deploy(), 3)
	n1.OnActivation(t, user, fleet.Behaviour{})
	w.wants(w.deploy(), 0)

	_, all := w.history()
	var got []string
	for _, d := range all {
		if len(d.Plan.Digest) != 64 || !strings.Contains(d.Plan.By, "@") || d.Plan.Time == "" {
			t.Errorf("it is of %+v", d.Plan)
		}
		line := d.Node
		for _, p := range d.Profiles {
			line += " " + p.Profile + "=" + string(p.State)
		}
		got = append(got, line)
	}
	want := []string{"n1 " + user + "=active", "n1 system=active " + user + "=failed", "n1 system=active " + user + "=active", "n2 system=active " + n2.Users()[0] + "=active"}
	slices.Sort(got[2:]) // of one run
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("the history is (-want +got):\n%s", diff)
	}
	if p := all[1].Profiles[1]; p.From != first["n1/"+user] || p.To != second["n1/"+user] || p.Reason != deploy.ReasonActivation || !strings.Contains(p.Error, "3") {
		t.Errorf("the failure is %+v", p)
	}

	// Another machine has no journal of them, and asks the nodes.
	elsewhere := w.runs() + ".away"
	if err := os.Rename(w.runs(), elsewhere); err != nil {
		t.Fatal(err)
	}
	if _, there := w.history(); cmp.Diff(all, there) != "" {
		t.Errorf("without journals the history differs:\n%s", cmp.Diff(all, there))
	}
	if err := os.Rename(elsewhere, w.runs()); err != nil {
		t.Fatal(err)
	}
	if _, one := w.history("-node=n1", "-env=system"); len(one) != 2 || len(one[0].Profiles) != 1 {
		t.Errorf("of the system of n1 it has %+v", one)
	}

	// What a node that does not answer did is in the journals.
	n1.StopSSH(t)
	r, here := w.history()
	if diff := cmp.Diff(all, here); diff != "" {
		t.Errorf("without n1 the history differs:\n%s", diff)
	}
	contains(t, r.stderr, "warning: node n1 is unreachable: ", "hint: below are only its deploys from here")
	n1.StartSSH(t)
	text := w.wants(w.run("history", "-node=n1"), 0)
	contains(t, text.stdout, "Z  n1: by ", "activation failed: ")
}
