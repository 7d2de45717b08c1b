package plan_test

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// A plan that retires an environment and makes one that looks like it suggests the line
// of provider.moved, and that line does what it says.
func TestRenamed(t *testing.T) {
	claim := func(user, project, environment string, hosts ...string) state.Claim {
		return state.Claim{UserName: user, Organisation: "acme", Project: project, Environment: environment, Node: "n1", VirtualHosts: hosts}
	}
	before := []state.Claim{claim("site-old", "site", "old", "www.acme.example", "acme.example"), claim("shop-main", "shop", "main", "shop.example")}
	kept := before[1]
	refs := func(refs map[string]string) map[string]plan.Environment {
		all := map[string]plan.Environment{}
		for user, ref := range refs {
			all[user] = plan.Environment{Repo: jsontext.Value(`{"ref":"` + ref + `","type":"git"}`)}
		}
		return all
	}
	for _, test := range []struct {
		reason string
		after  []state.Claim
		refs   map[string]string // of the new plan; site-old had "main", shop-main "main"
		want   string            // the new environment, "" for no warning
		says   string
	}{
		{"nothing is renamed", before, nil, "", ""},
		{"host names move along", []state.Claim{claim("site-new", "site", "new", "www.acme.example", "acme.example"), kept}, nil, "site-new", "acme.example and www.acme.example"},
		{"one of them moves along", []state.Claim{claim("site-new", "site", "new", "www.acme.example"), kept}, nil, "site-new", "has now www.acme.example"},
		{"the git ref is the same", []state.Claim{claim("site-new", "site", "new"), kept}, map[string]string{"site-new": "main"}, "site-new", "the same git ref"},
		{"it is another branch", []state.Claim{claim("site-new", "site", "new"), kept}, map[string]string{"site-new": "dev"}, "", ""},
		{"it is another project", []state.Claim{claim("new-main", "new", "main"), kept}, map[string]string{"new-main": "main"}, "", ""},
		{"two are in question", []state.Claim{claim("site-a", "site", "a", "www.acme.example"), claim("site-b", "site", "b", "acme.example"), kept}, nil, "", ""},
		{"the old one stays", append([]state.Claim{claim("site-new", "site", "new")}, before...), map[string]string{"site-new": "main"}, "", ""},
	} {
		first, err := state.New().Next(state.Request{UIDs: state.DefaultUIDRange, Claims: before})
		if err != nil {
			t.Fatal(err)
		}
		next, err := first.State.Next(state.Request{UIDs: state.DefaultUIDRange, Claims: test.after})
		if err != nil {
			t.Fatal(err)
		}
		last := &plan.Document{Environments: refs(map[string]string{"site-old": "main", "shop-main": "main"})}
		result := &plan.Result{State: next.State, Changes: next.Changes, Plan: plan.Document{Environments: refs(test.refs)}}
		got := plan.Renamed(last, result)
		if test.want == "" {
			if len(got) > 0 {
				t.Errorf("%s: %+v", test.reason, got)
			}
			continue
		}
		if len(got) != 1 || got[0].Subject != test.want || !strings.Contains(got[0].Message, test.says) || !strings.Contains(got[0].Message, "site-old is retired") || !strings.Contains(got[0].Hint, `{ from = "site-old"; to = "`+test.want+`"; }`) {
			t.Errorf("%s: %+v", test.reason, got)
			continue
		}
		moved, err := first.State.Next(state.Request{UIDs: state.DefaultUIDRange, Claims: test.after, Moved: []state.Moved{{From: "site-old", To: test.want}}})
		if err != nil || moved.State.Entries[test.want].UID != first.State.Entries["site-old"].UID {
			t.Errorf("%s: with the line: %v, %+v", test.reason, err, moved.State.Entries)
		}
		if left := plan.Renamed(last, &plan.Result{State: moved.State, Changes: moved.Changes, Plan: result.Plan}); len(left) > 0 {
			t.Errorf("%s: with the line it still warns: %+v", test.reason, left)
		}
	}
}
