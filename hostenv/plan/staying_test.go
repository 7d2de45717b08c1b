package plan_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// without returns what a plan has of all but one customer: its lines in plan.json.
func without(t *testing.T, r *plan.Result, c *customer) map[string]any {
	t.Helper()
	tree := map[string]any{}
	if err := json.Unmarshal(r.Plan.Encode(), &tree); err != nil {
		t.Fatal(err)
	}
	delete(tree, "serial")
	delete(tree, "stateDigest")
	drop := func(at map[string]any, of ...string) {
		maps.DeleteFunc(at, func(key string, _ any) bool {
			return slices.ContainsFunc(of, func(part string) bool { return strings.Contains(key, part) })
		})
	}
	slug := c.project + "-"
	hosts := "." + c.organisation + ".example"
	drop(at(tree, "environments"), slug)
	drop(at(tree, "profiles"), slug)
	drop(at(tree, "certificates"), c.input())
	if len(at(tree, "certificates")) == 0 {
		delete(tree, "certificates")
	}
	for _, node := range at(tree, "nodes") {
		node := node.(map[string]any)
		drop(at(node, "services", "nginx", "virtualHosts"), slug, hosts)
		drop(at(node, "users", "users"), slug)
		drop(at(node, "users", "groups"), slug)
		drop(at(node, "systemd", "slices"), "user-"+c.organisation+"-"+c.project)
		for user, e := range r.State.Entries {
			if strings.HasPrefix(user, slug) {
				drop(at(node, "systemd", "services"), fmt.Sprintf("user@%d", e.UID))
			}
		}
	}
	return tree
}

// A plan of one project, or of one environment, changes no line of others, whatever
// they and the provider's options for them have become.
func TestSelection(t *testing.T) {
	w := newWorld()
	w.find("gamma__portal").environments["other"] = &environment{kind: "production"}
	first, err := w.planned(t, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := w.find("gamma__portal")
	main, other := c.user("main"), c.user("other")
	for _, c := range w.customers {
		c.commits++
		c.environments["main"].note++
		c.environments["main"].hosts = append(c.environments["main"].hosts, "new."+c.project+"."+c.organisation+".example")
		c.environments["new"] = &environment{kind: "production"}
	}
	delete(w.find("acme__shop").environments, "main")
	w.find("beta__site").wrong = map[string]any{"enable": "no"}
	w.provider = map[string]any{"limits": map[string]any{"cpuQuota": "50%", "certificates": 9}}
	failed := map[string]error{"acme__site": errors.New("no")}
	for _, test := range []struct {
		reason  string
		only    plan.Selection
		changes []string // users
	}{
		{"a project", plan.Selection{Projects: []string{"gamma__portal"}}, []string{main, other, c.user("new")}},
		{"a pattern", plan.Selection{Projects: []string{"gam*"}}, []string{main, other, c.user("new")}},
		{"an environment", plan.Selection{Environments: []string{main}}, []string{main}},
		{"an environment that is new", plan.Selection{Environments: []string{"portal-new-*"}}, []string{c.user("new")}},
		{"an environment of a project", plan.Selection{Projects: []string{"gamma__*"}, Environments: []string{"*-other-*", main}}, []string{main, other}},
	} {
		w.only = test.only
		result, err := w.planned(t, first, failed)
		if err != nil {
			t.Fatalf("%s: %v", test.reason, err)
		}
		checkResult(t, test.reason, result)
		if diff := cmp.Diff(without(t, first, c), without(t, result, c)); diff != "" {
			t.Errorf("%s: lines of others change:\n%s", test.reason, diff)
		}
		before, after := parts(first)[c.input()], parts(result)[c.input()]
		var changed []string
		for _, user := range []string{main, other, c.user("new")} {
			if before[user] != after[user] {
				changed = append(changed, user)
			}
		}
		if diff := cmp.Diff(test.changes, changed); diff != "" {
			t.Errorf("%s: other environments change:\n%s", test.reason, diff)
		}
		if len(result.Held) > 0 {
			t.Errorf("%s: it holds back %v", test.reason, result.Held)
		}
		if again := w.decode(t, failed); len(again.SourceRequests()) > len(test.changes) {
			t.Errorf("%s: it fetches %v", test.reason, again.SourceRequests())
		}
	}
}

// What an earlier plan held back stays so while it is not selected.
func TestSelectionKeepsHeldBack(t *testing.T) {
	w := newWorld()
	first, err := w.planned(t, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	second, err := w.planned(t, first, map[string]error{"beta__site": errors.New("attribute 'x' missing")})
	if err != nil {
		t.Fatal(err)
	}
	w.only.Projects = []string{"acme__shop"}
	third, err := w.planned(t, second, nil)
	if err != nil || len(third.Held) != 1 || third.Held[0].Reason.Error() != "attribute 'x' missing" || len(third.Held[0].Keeps) != 1 {
		t.Fatalf("it holds back %+v: %v", third, err)
	}
	w.only.Projects = []string{"beta__site"}
	if fourth, err := w.planned(t, third, nil); err != nil || len(fourth.Held)+len(fourth.Plan.HeldBack) > 0 {
		t.Errorf("it holds back %+v: %v", fourth, err)
	}
}

// Selections and holds that name nothing are refused, and say what was meant.
func TestUnmatched(t *testing.T) {
	w := newWorld()
	main := w.find("acme__site").user("main")
	first, err := w.planned(t, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		only      plan.Selection
		hold      map[string]any
		err, hint string
	}{
		{plan.Selection{Projects: []string{"acme_site"}}, nil, `-project "acme_site" matches no project`, "did you mean acme__site?"},
		{plan.Selection{Projects: []string{"x*"}}, nil, `-project "x*" matches no project`, "there are acme__shop, acme__site, beta__site and gamma__portal"},
		{plan.Selection{Environments: []string{strings.Replace(main, "main", "mian", 1)}}, nil, "matches no environment", "did you mean " + main + "?"},
		{plan.Selection{Environments: []string{"[a"}}, nil, `-env: "[a" is not a valid pattern`, "write *, ? or [a-z] in it"},
		{plan.Selection{Projects: []string{"beta__*"}, Environments: []string{main}}, nil, "together match no environment", "`mage state:list`"},
		{plan.Selection{Projects: []string{"beta__*"}}, map[string]any{"beta__site": "sale"}, "match only what is on hold: beta__site", "remove provider.hold.beta__site to plan it again"},
		{plan.Selection{}, map[string]any{"acme__sit": "sale"}, "provider.hold.acme__sit names no project", "did you mean acme__site?"},
		{plan.Selection{}, map[string]any{"beta__new": "sale"}, "provider.hold.beta__new cannot keep the project as it is: no plan has it yet", "remove it"},
		{plan.Selection{}, map[string]any{"beta__site": " "}, "provider.hold.beta__site has no reason", "write why"},
		{plan.Selection{}, map[string]any{"beta__site": 1}, "provider.hold", ""},
	} {
		w.only, w.hold = test.only, test.hold
		w.customers = newWorld().customers
		if test.hold["beta__new"] != nil {
			w.customers = append(w.customers, &customer{organisation: "beta", project: "new", environments: map[string]*environment{"main": {kind: "production"}}})
		}
		_, err := w.planned(t, first, map[string]error{"gamma__portal": errors.New("not asked for")})
		if err == nil {
			t.Errorf("%+v, %v: it is planned", test.only, test.hold)
			continue
		}
		leaf := problem.Leaves(err)[0]
		if !strings.Contains(leaf.Error(), test.err) || !strings.Contains(problem.Hint(leaf), test.hint) {
			t.Errorf("%+v, %v: %v; hint: %s", test.only, test.hold, leaf, problem.Hint(leaf))
		}
	}
	w.only, w.hold, w.customers = plan.Selection{Projects: []string{"acme__site"}}, nil, newWorld().customers
	if _, err := w.planned(t, nil, nil); err == nil || !strings.Contains(err.Error(), "there is no plan yet") {
		t.Errorf("without a last plan: %v", err)
	}
}

// A project on hold stays though it fails, leaves the inputs, or would be renamed. Once
// the hold ends, it is planned as any other.
func TestHold(t *testing.T) {
	w := newWorld()
	c := w.find("beta__site")
	user := c.user("main")
	first, err := w.planned(t, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.hold = map[string]any{"beta__site": "the shop closes"}
	c.commits++
	c.environments["main"].note++
	c.environments["main"].kind = "development" // would go to node-a
	c.environments["new"] = &environment{kind: "development"}
	for _, test := range []struct {
		reason string
		change func() map[string]error
	}{
		{"it changes", func() map[string]error { return nil }},
		{"it fails", func() map[string]error { return map[string]error{"beta__site": errors.New("no")} }},
		{"it is wrong", func() map[string]error { c.wrong = map[string]any{"enable": "no"}; return nil }},
		{"it is renamed", func() map[string]error {
			w.provider = map[string]any{"moved": []any{map[string]any{"from": "beta__site", "to": "beta__www"}}}
			c.wrong = nil
			return nil
		}},
		{"it leaves the inputs", func() map[string]error {
			w.provider = nil
			w.customers = slices.DeleteFunc(slices.Clone(w.customers), func(other *customer) bool { return other == c })
			return nil
		}},
	} {
		result, err := w.planned(t, first, test.change())
		if err != nil {
			t.Fatalf("%s: %v", test.reason, err)
		}
		checkResult(t, test.reason, result)
		if diff := cmp.Diff(parts(first), parts(result)); diff != "" {
			t.Errorf("%s: it does not stay:\n%s", test.reason, diff)
		}
		want := []plan.Hold{{Project: "beta__site", Reason: "the shop closes", Keeps: []string{user}}}
		if diff := cmp.Diff(want, result.Holds); diff != "" || len(result.Held) > 0 {
			t.Errorf("%s: it holds back %v, and has on hold:\n%s", test.reason, result.Held, diff)
		}
	}
	w.customers, w.hold = append(w.customers, c), nil
	result, err := w.planned(t, first, nil)
	if err != nil || result.State.Entries[user].Node != "node-a" || len(result.Holds)+len(result.Plan.OnHold) > 0 {
		t.Errorf("after the hold: %+v, %v", result.State.Entries[user], err)
	}
}

// With -locked, environments of one branch stay each at its own commit.
func TestLockedApart(t *testing.T) {
	w := newWorld()
	c := w.find("gamma__portal")
	c.environments["other"] = &environment{kind: "production"}
	inventory := func() *plan.Inventory {
		project := c.inventory()
		for _, e := range project["environments"].(map[string]any) {
			e.(map[string]any)["hostenv"].(map[string]any)["gitRef"] = "trunk"
		}
		return w.read(t, map[string]any{c.input(): project})
	}
	compute := func(in plan.Input) *plan.Result {
		t.Helper()
		result, err := plan.Compute(in)
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	at := func(inv *plan.Inventory, commits int64) plan.Sources {
		sources := plan.Sources{}
		for _, r := range inv.SourceRequests() {
			sources[r.Key] = plan.Locked{Rev: fmt.Sprint(commits), NarHash: "sha256-x", LastModified: commits}
		}
		return sources
	}
	inv := inventory()
	first := compute(plan.Input{Inventory: inv, Sources: at(inv, 1), State: state.New()})
	inv = inventory()
	inv.Only.Environments = []string{c.user("main")}
	second := compute(plan.Input{Inventory: inv, Sources: at(inv, 2), State: first.State, Last: &first.Plan})
	revs := func(r *plan.Result) string {
		return r.Plan.Environments[c.user("main")].Source.Rev + " " + r.Plan.Environments[c.user("other")].Source.Rev
	}
	if revs(second) != "2 1" {
		t.Fatalf("they are at %s", revs(second))
	}
	c.environments["fresh"] = &environment{kind: "production"}
	third := compute(plan.Input{Inventory: inventory(), Sources: second.Plan.Sources(), State: second.State, Last: &second.Plan})
	if revs(third) != "2 1" || third.Plan.Environments[c.user("fresh")].Source.Rev != "2" {
		t.Errorf("with -locked they are at %s, and a new one at %s", revs(third), third.Plan.Environments[c.user("fresh")].Source.Rev)
	}
}

// What goes back takes its names along, but none that another environment has by now.
func TestBack(t *testing.T) {
	w := newWorld()
	c, shop := w.find("acme__site"), w.find("acme__shop")
	user := c.user("main")
	c.environments["main"].hosts = []string{"a.acme.example", "b.acme.example"}
	first, err := w.planned(t, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.environments["main"].hosts, c.commits = []string{"c.acme.example"}, 1
	second, err := w.planned(t, first, nil)
	if err != nil {
		t.Fatal(err)
	}
	shop.environments["main"].hosts = append(shop.environments["main"].hosts, "b.acme.example")
	c.environments["new"] = &environment{kind: "production"}
	third, err := w.planned(t, second, nil)
	if err != nil {
		t.Fatal(err)
	}
	users := []string{user, c.user("new")}
	common, differing := third.Plan.Earlier(first.Plan, users)
	if len(common) != 1 || len(differing) != 1 || common[0] != user {
		t.Errorf("the first plan has %v, and %v differ", common, differing)
	}
	if common, differing := third.Plan.Earlier(second.Plan, users); len(common) != 1 || len(differing) != 0 {
		t.Errorf("the second plan has %v, and %v differ", common, differing)
	}
	w.only = plan.Selection{}
	failed := map[string]error{"beta__site": errors.New("no")}
	back, err := w.compute(t, third, failed, &plan.Back{To: &first.Plan, Users: users})
	if err != nil {
		t.Fatal(err)
	}
	checkResult(t, "back", back)
	entry := back.State.Entries[user]
	if want := []string{"a.acme.example", user + ".hosting.example"}; !slices.Equal(entry.VirtualHosts, want) || entry.UID != first.State.Entries[user].UID {
		t.Errorf("it is %+v", entry)
	}
	var warned []string
	for _, w := range back.Warnings {
		if w.Reason == plan.WarnNotBack {
			warned = append(warned, w.Subject+" "+w.Message)
		}
	}
	slices.Sort(warned)
	want := []string{
		user + " goes back without the virtual host b.acme.example: the host name b.acme.example belongs to " + shop.user("main") + " now",
		c.user("new") + " is not in the earlier plan, and stays as it is",
	}
	if diff := cmp.Diff(want, warned); diff != "" {
		t.Errorf("the warnings:\n%s", diff)
	}
	if got := back.Plan.Environments[user].Source; cmp.Diff(first.Plan.Environments[user].Source, got) != "" {
		t.Errorf("its source is %+v", got)
	}
	// A domain that another organisation has by now is not had back.
	w.provider = map[string]any{"domains": map[string]any{"acme.example": "gamma"}}
	if _, err := w.compute(t, third, nil, &plan.Back{To: &first.Plan, Users: users}); err == nil || !strings.Contains(err.Error(), `the domain "acme.example" belongs to gamma`) {
		t.Errorf("a name of another's domain: %v", err)
	}
}
