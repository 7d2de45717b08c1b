package plan_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// TestMerge merges plans of which each branch changed another part, and some the same.
func TestMerge(t *testing.T) {
	text, err := os.ReadFile("../../golden/125-locked-sources/plan.json")
	if err != nil {
		t.Fatal(err)
	}
	base, err := plan.DecodeDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	changed := func(edit func(map[string]any)) []byte {
		var v map[string]any
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatal(err)
		}
		edit(v)
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		d, err := plan.DecodeDocument(text)
		if err != nil {
			t.Fatal(err)
		}
		return d.Encode()
	}
	users := make([]string, 0, len(base.Environments))
	for user := range base.Environments {
		users = append(users, user)
	}
	verdict := func(v map[string]any, host, verdict string) {
		gate, _ := v["dnsGate"].(map[string]any)
		if gate == nil {
			gate = map[string]any{}
		}
		gate[host] = map[string]any{"decision": "on", "node": "node-a", "verdict": verdict, "reason": "x"}
		v["dnsGate"] = gate
	}
	source := func(v map[string]any, rev string) {
		v["environments"].(map[string]any)[users[0]].(map[string]any)["source"] = map[string]any{"rev": rev, "narHash": "sha256-" + rev, "type": "git"}
	}
	earlier := changed(func(v map[string]any) {
		v["stateDigest"] = "1"
		verdict(v, "a.test", "pass")
		verdict(v, "b.test", "pass")
	})
	later := changed(func(v map[string]any) { v["stateDigest"] = "2"; source(v, "123"); verdict(v, "b.test", "fail") })

	merged, err := plan.Merge(text, earlier, later)
	if err != nil {
		t.Fatal(err)
	}
	d, err := plan.DecodeDocument(merged)
	if err != nil {
		t.Fatal(err)
	}
	if d.DNSGate["a.test"].Verdict != "pass" || d.DNSGate["b.test"].Verdict != "pass" || d.Environments[users[0]].Source.Rev != "123" {
		t.Errorf("the merged plan has not what both branches changed:\n%s", merged)
	}
	// Nodes may have either plan: the next one has a higher serial than both.
	serial := func(text []byte, number int, digest string) []byte {
		d, err := plan.DecodeDocument(text)
		if err != nil {
			t.Fatal(err)
		}
		d.Serial = plan.Serial{Number: number, Digest: digest}
		return d.Encode()
	}
	for _, tt := range []struct {
		base, earlier, later plan.Serial
		want                 int
	}{
		{plan.Serial{Number: 4, Digest: "4"}, plan.Serial{Number: 5, Digest: "a"}, plan.Serial{Number: 9, Digest: "b"}, 10},
		{plan.Serial{Number: 4, Digest: "4"}, plan.Serial{Number: 9, Digest: "a"}, plan.Serial{Number: 5, Digest: "b"}, 10},
		{plan.Serial{Number: 4, Digest: "4"}, plan.Serial{Number: 5, Digest: "a"}, plan.Serial{Number: 5, Digest: "b"}, 6},
		{plan.Serial{Number: 4, Digest: "4"}, plan.Serial{Number: 5, Digest: "a"}, plan.Serial{Number: 6, Digest: "4"}, 7}, // one went back
		{plan.Serial{Number: 4, Digest: "4"}, plan.Serial{Number: 5, Digest: "a"}, plan.Serial{Number: 4, Digest: "4"}, 6},
	} {
		both, err := plan.Merge(serial(text, tt.base.Number, tt.base.Digest), serial(earlier, tt.earlier.Number, tt.earlier.Digest), serial(later, tt.later.Number, tt.later.Digest))
		if err != nil {
			t.Fatal(err)
		}
		last, err := plan.DecodeDocument(both)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.After(last).Serial.Number; got != tt.want {
			t.Errorf("the plan after %+v and %+v has the number %d, want %d", tt.earlier, tt.later, got, tt.want)
		}
	}
	if string(d.Encode()) != string(merged) {
		t.Errorf("the merged plan is not canonical:\n%s", merged)
	}
	err = plan.CheckFresh(merged, state.New())
	if err == nil || err.Error() != "the plan was merged from those of two branches" || problem.Hint(err) == "" {
		t.Errorf("a merged plan is refused by %v", err)
	}
	for _, tt := range [][3][]byte{{text, earlier, earlier}, {text, earlier, text}, {text, text, earlier}} {
		if got, err := plan.Merge(tt[0], tt[1], tt[2]); err != nil || len(got) == 0 {
			t.Errorf("%v", err)
		}
	}
	if got, _ := plan.Merge(text, earlier, earlier); string(got) != string(earlier) {
		t.Error("two equal plans are merged to another one")
	}
	if _, err := plan.Merge(nil, earlier, later); err != nil {
		t.Errorf("without a base: %v", err)
	}
	if _, err := plan.Merge(text, earlier[:len(earlier)/2], later); err == nil || !strings.Contains(err.Error(), "the text ends in the middle") {
		t.Errorf("a plan that is cut off: %v", err)
	}
}
