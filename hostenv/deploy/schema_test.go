package deploy_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// Every event of every kind of run matches the schema in docs/, and the schema rejects
// other documents.
func TestEventsMatchTheirSchema(t *testing.T) {
	compiler := jsonschema.NewCompiler()
	schema, err := compiler.Compile(filepath.Join("..", "..", "docs", "deploy-events.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[deploy.Type]int{}
	states := map[deploy.State]int{}
	check := func(line []byte) error {
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(value)
	}
	for seed := range 40 {
		nodes := fleet(2, 1)
		w := newWorld(t, nodes)
		if seed%2 == 0 {
			had("env1-n1")(w)
		}
		faults := []fault{none, fails, failsStuck, failsAstray, lies}
		ops := []string{"build", "sign", "push", "activate", "activate", "restore", "remove", ""}
		w.fault = func(op, node, _ string) fault {
			if node != "n2" && op == ops[seed%len(ops)] {
				return faults[seed%len(faults)]
			}
			return none
		}
		dir := t.TempDir()
		r := w.runner(dir, "")
		r.Verifier = judging{w: w, asked: new([]string), enforc: true, says: func(path string, _ int) (string, bool) {
			if path == "1-env1-n1" {
				return "the status is 500", seed%8 == 2
			}
			return "", false
		}}
		start := &deploy.Start{Plan: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", By: "alice", Options: r.Options,
			Migrations: &deploy.Migrations{Skip: []string{"shop"}, Sources: map[string]string{"blog": "n2"}, IgnoreErrors: true}}
		more := []deploy.Event{
			{Type: deploy.TypeRun, Start: start}, {Type: deploy.TypeResume},
			{Type: deploy.TypeVerification, Node: "n1", Profile: "x", Verification: &deploy.Verification{Checks: []deploy.Check{{VirtualHost: "a", URL: "http://a/", Status: 200, OK: true}}}},
			{Type: deploy.TypeVerification, Node: "n1", Profile: "x", Verification: &deploy.Verification{Enforce: true, Checks: []deploy.Check{
				{Name: "of no standard", VirtualHost: "a", URL: "http://a/", Status: 99, Problem: "the status is 99"}, {VirtualHost: "a", URL: "http://a/", Problem: "refused"}}}},
			{Type: deploy.TypeMove, Node: "n1", Profile: "x", Moved: &deploy.Moved{From: "n2", Snapshots: map[string]string{"db": "abcdef12"}}},
		}
		if err := r.Journal.Append(more...); err != nil {
			t.Fatal(err)
		}
		r.Waves.Order = [][]string{{"n1/system", "n1/env1-n1"}}
		mode := deploy.Deploy
		if seed%5 == 4 {
			mode = deploy.Preview
		}
		if seed == 3 {
			w.nodes["n1"].os = "debian"
		}
		if seed%3 == 0 {
			r.Held = []plan.Held{{Project: "acme__site", Reason: errors.New("it does not evaluate"), Keeps: []string{"site-main"}}, {Project: "beta__new", Reason: errors.New("it claims a name")}}
		}
		if _, err := r.Run(t.Context(), mode, nodes, nodes); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, r.Journal.ID+".jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			if err := check(line); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			e, err := deploy.DecodeEvent(line)
			if err != nil {
				t.Fatal(err)
			}
			seen[e.Type]++
			states[e.State]++
		}
	}
	for _, kind := range []deploy.Type{deploy.TypeVersion, deploy.TypeRun, deploy.TypeResume, deploy.TypeHeld, deploy.TypeNode, deploy.TypeFinding, deploy.TypeProfile, deploy.TypeBaseline, deploy.TypeVerification, deploy.TypeRecheck, deploy.TypeMove, deploy.TypeDiff, deploy.TypeWave, deploy.TypeEnd} {
		if seen[kind] == 0 {
			t.Errorf("no event of type %s was seen", kind)
		}
	}
	for _, state := range []deploy.State{deploy.StatePending, deploy.StateActivating, deploy.StateVerifying, deploy.StateRestoring, deploy.StateActive, deploy.StateFailed, deploy.StateSkipped} {
		if states[state] == 0 {
			t.Errorf("no event in state %s was seen", state)
		}
	}
	for _, wrong := range []string{
		`{}`, `{"type":"version"}`, `{"type":"version","events":"2.0"}`, `{"type":"profile","time":"2026-01-01T00:00:00Z","run":"r","node":"n1"}`,
		`{"type":"end","time":"2026-01-01T00:00:00Z","run":"r"}`, `{"type":"finding","time":"2026-01-01T00:00:00Z","run":"r","finding":{"level":"odd","code":"c","message":"m"}}`,
		`{"type":"node","node":"n1","state":"reached"}`,
		`{"type":"wave","time":"2026-01-01T00:00:00Z","run":"r","state":"active"}`,
		`{"type":"held","time":"2026-01-01T00:00:00Z","run":"r","held":{"project":"acme__site","reasons":["x"]}}`,
	} {
		if check([]byte(wrong)) == nil {
			t.Errorf("the schema takes %s", wrong)
		}
	}
}
