package deploy_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// begun returns a runner whose journal has its first event, as drive writes it.
func (w *world) begun(dir string, serial int) *deploy.Runner {
	w.t.Helper()
	r := w.runner(dir, "")
	r.Plan = deploy.PlanRecord{Serial: serial, Digest: strings.Repeat("d", 64), Commit: "abc1234" + deploy.Dirty, By: "alice@ci"}
	start := deploy.Start{Plan: r.Plan.Digest, Serial: serial, By: r.Plan.By, Commit: "abc1234", Uncommitted: true}
	if err := r.Journal.Append(deploy.Event{Type: deploy.TypeRun, Start: &start}); err != nil {
		w.t.Fatal(err)
	}
	return r
}

// deployments returns what the nodes recorded, without times and runs.
func (w *world) deployments(node string) []deploy.Deployment {
	all := slices.Clone(w.nodes[node].deployed)
	for i := range all {
		if all[i].Run == "" || all[i].Plan.Time == "" {
			w.t.Errorf("node %s recorded no run or no time: %+v", node, all[i])
		}
		if age := time.Since(all[i].Time); age < 0 || age > time.Hour {
			w.t.Errorf("node %s recorded the time %s", node, all[i].Time)
		}
		all[i].Run, all[i].Time, all[i].Plan.Time = "", time.Time{}, ""
	}
	return all
}

// A node records what a run did to it, also what failed, and nothing of a run that had
// nothing to do. The journal gives the same.
func TestRecord(t *testing.T) {
	nodes := fleet(2, 2)
	w := newWorld(t, nodes)
	w.fault = func(op, _, profile string) fault {
		if op == "build" && profile == "env1-n1" {
			return fails
		}
		return none
	}
	dir := t.TempDir()
	deployed := func() (deploy.Outcome, []deploy.Deployment) {
		t.Helper()
		r := w.begun(dir, 7)
		r.Held = []plan.Held{{Project: "acme__site", Keeps: []string{"env2-n2", "env1-n2", "gone"}}}
		o, err := r.Run(t.Context(), deploy.Deploy, nodes, nodes)
		if err != nil {
			t.Fatal(err)
		}
		return o, deploy.DeploymentsOf(r.Journal.Events())
	}
	_, here := deployed()
	record := deploy.PlanRecord{Serial: 7, Digest: strings.Repeat("d", 64), Commit: "abc1234-dirty", By: "alice@ci"}
	want := []deploy.Deployment{{Node: "n1", Plan: record, Profiles: []deploy.Deployed{
		{Profile: "system", From: "/nix/store/0-system-old", To: "/nix/store/1-system-n1", State: deploy.StateActive},
		{Profile: "env1-n1", To: "/nix/store/1-env1-n1", State: deploy.StateFailed, Reason: deploy.ReasonBuild, Error: "the disk is on fire"},
		{Profile: "env2-n1", To: "/nix/store/1-env2-n1", State: deploy.StateActive},
	}}}
	if diff := cmp.Diff(want, w.deployments("n1")); diff != "" {
		t.Errorf("n1 recorded (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(here, slices.Concat(w.nodes["n1"].deployed, w.nodes["n2"].deployed)); diff != "" {
		t.Errorf("the journal has not what the nodes recorded:\n%s", diff)
	}
	if got := w.nodes["n2"].held; !slices.Equal(got, []string{"env1-n2", "env2-n2"}) || len(w.nodes["n1"].held) != 0 {
		t.Errorf("n1 holds back %q, n2 %q", w.nodes["n1"].held, got)
	}

	// The second run only has what failed, and n2 has no second record.
	w.fault = func(string, string, string) fault { return none }
	deployed()
	if got := w.deployments("n1"); len(got) != 2 || len(got[1].Profiles) != 1 || !got[1].Good() || got[1].Profiles[0].Profile != "env1-n1" || len(w.nodes["n2"].deployed) != 1 {
		t.Errorf("n1 recorded %+v, and n2 %d deployments", got, len(w.nodes["n2"].deployed))
	}

	// A node that cannot write is no failure of the deploy.
	for i := range nodes[1].Profiles {
		nodes[1].Profiles[i].Path += "-next"
	}
	w.fault = func(op, _, _ string) fault {
		if op == "record" {
			return fails
		}
		return none
	}
	o, here := deployed()
	if o.Code() != deploy.ExitHeld || len(o.Findings) != 1 || o.Findings[0].Finding.Level != deploy.Warning || o.Findings[0].Finding.Code != deploy.FindingNotRecorded ||
		o.Findings[0].Finding.Message != "node n2 could not record the deployment: no space left on device" || len(here) != 1 {
		t.Errorf("it ended with %d and %+v; the journal has %+v", o.Code(), o.Findings, here)
	}
}

// A resumed run is one deployment, with what it did before.
func TestRecordResumed(t *testing.T) {
	nodes := fleet(1, 2)
	w := newWorld(t, nodes)
	dir := t.TempDir()
	r := w.begun(dir, 7)
	w.fault = func(op, _, profile string) fault {
		if op == "activate" && profile == "env2-n1" {
			return fails
		}
		return none
	}
	if _, err := r.Run(t.Context(), deploy.Deploy, nodes, nodes); err != nil {
		t.Fatal(err)
	}
	w.fault = func(string, string, string) fault { return none }
	again := w.runner(dir, r.Journal.ID)
	again.Plan = r.Plan
	if err := again.Journal.Append(deploy.Event{Type: deploy.TypeResume}); err != nil {
		t.Fatal(err)
	}
	if _, err := again.Run(t.Context(), deploy.Deploy, nodes, nodes); err != nil {
		t.Fatal(err)
	}
	recorded := w.nodes["n1"].deployed
	if len(recorded) != 2 || recorded[0].Good() || !recorded[1].Good() || len(recorded[1].Profiles) != 3 || recorded[1].Profiles[0].From != "/nix/store/0-system-old" {
		t.Fatalf("it recorded %+v", recorded)
	}
	merged := deploy.MergeDeployments(recorded, recorded, deploy.DeploymentsOf(r.Journal.Events()))
	if len(merged) != 1 || !merged[0].Good() {
		t.Errorf("merged it is %+v", merged)
	}
}

func TestMergeDeployments(t *testing.T) {
	at := func(node, run, when string, omitted int) deploy.Deployment {
		at, err := time.Parse(time.RFC3339, when)
		if err != nil {
			t.Fatal(err)
		}
		return deploy.Deployment{Node: node, Run: run, Time: at, Omitted: omitted}
	}
	a, b := at("n1", "1", "2026-11-29T07:00:00Z", 0), at("n2", "1", "2026-11-29T07:00:01Z", 0)
	short := at("n1", "1", "2026-11-29T07:00:00Z", 3) // of a node
	next := at("n1", "2", "2026-11-30T07:00:00Z", 0)
	strange := at("n1", "", "2026-11-28T07:00:00Z", 0) // without a run it is kept twice
	for name, lists := range map[string][][]deploy.Deployment{
		"the nodes first":    {{short, next, strange}, {strange, b}, {a, b, next}},
		"the journals first": {{a, b, next}, {short, next, strange}, {b, strange}},
	} {
		if diff := cmp.Diff([]deploy.Deployment{next, b, a, strange, strange}, deploy.MergeDeployments(lists...)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

// The line of a deployment is bounded, whatever customers bring about, and one line.
func TestDeploymentLine(t *testing.T) {
	d := deploy.Deployment{Node: "n1", Run: "r", Time: time.Date(2026, 11, 29, 7, 0, 0, 0, time.UTC)}
	for i := range 500 {
		d.Profiles = append(d.Profiles, deploy.Deployed{Profile: fmt.Sprintf("env%d", i), Error: strings.Repeat("\u202e\n\x1b[31m", 40)})
	}
	line := d.Encode()
	if len(line) > 32<<10 || strings.ContainsAny(string(line), "\n\x1b\u202e") || !json.Valid(line) {
		t.Errorf("it has %d bytes: %.200q", len(line), line)
	}
	got := deploy.ReadDeployments("n9", [][]byte{[]byte("{"), line, nil, []byte(`{"time":"now"}`), []byte("[1]")})
	if len(got) != 1 || got[0].Node != "n9" || got[0].Omitted+len(got[0].Profiles) != 500 || len(got[0].Profiles) < 10 {
		t.Errorf("it is read as %d deployments, %d profiles", len(got), len(got[0].Profiles))
	}
}
