package plan_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/review"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// moving plans the environment of golden/115, which comes from node-old, with
// changes to it and to the provider.
func moving(t *testing.T, change func(environment, provider map[string]any)) (*plan.Result, error) {
	t.Helper()
	dir := filepath.Join(goldenDir, "115-previous-node")
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	v, err := canonjson.Decode(read("inventory.json"))
	if err != nil {
		t.Fatal(err)
	}
	inventory := v.(map[string]any)
	project := inventory["projects"].(map[string]any)["acme__site"].(map[string]any)
	change(project["environments"].(map[string]any)["main"].(map[string]any), inventory["provider"].(map[string]any))
	inv, err := plan.DecodeInventory(canonjson.Encode(inventory))
	if err != nil {
		t.Fatal(err)
	}
	prior, err := state.Decode(read("state.json"))
	if err != nil {
		t.Fatal(err)
	}
	return refusing(plan.Input{Inventory: inv, State: prior})
}

// warned returns the warnings of a reason.
func warned(all []state.Warning, reason string) []state.Warning {
	return slices.DeleteFunc(slices.Clone(all), func(w state.Warning) bool { return w.Reason != reason })
}

const movingUser = "site-main-b7ea262"

// If an environment moves without its data, the plan warns and names a fix.
func TestWarnMove(t *testing.T) {
	type change = func(environment, provider map[string]any)
	node := map[string]any{"system": "x86_64-linux"}
	for _, test := range []struct {
		name   string
		change change
		reason string // "" for no warning
		says   []string
	}{
		{"no migrations", func(_, _ map[string]any) {}, plan.WarnMoveWithoutData,
			[]string{"moves from node-old to node-a without its data", "keep it on node-old", "-migrate"}},
		{"none in the list", func(e, _ map[string]any) { e["migrations"] = []any{} }, plan.WarnMoveWithoutData, nil},
		{"as hostenv makes them", func(e, _ map[string]any) { e["migrations"] = []any{"drupal-migrate"} }, "", nil},
		{"among hostenv's values", func(e, _ map[string]any) {
			e["hostenv"].(map[string]any)["migrations"] = []any{"php-app-migrate"}
		}, "", nil},
		{"disabled", func(e, _ map[string]any) { e["enable"] = false }, "", nil},
		{"from a node that the provider took away", func(e, p map[string]any) {
			e["migrations"] = []any{"drupal-migrate"}
			p["nodes"] = map[string]any{"node-a": node, "node-b": node}
		}, plan.WarnMoveFromUnknownNode, []string{"provider.nodes does not have node-old", "put provider.nodes.node-old back", "-migrationSource=" + movingUser + "=NODE"}},
		{"from a node that it lists", func(e, p map[string]any) {
			e["migrations"] = []any{"drupal-migrate"}
			p["nodes"] = map[string]any{"node-a": node, "node-b": node, "node-old": node}
		}, "", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			result, err := moving(t, test.change)
			if err != nil {
				t.Fatal(err)
			}
			for _, reason := range []string{plan.WarnMoveWithoutData, plan.WarnMoveFromUnknownNode} {
				all := warned(result.Warnings, reason)
				if want := reason == test.reason; want != (len(all) == 1) {
					t.Fatalf("%s: %+v", reason, result.Warnings)
				}
				for _, w := range all {
					text := w.Message + "\n" + w.Hint
					for _, says := range test.says {
						if !strings.Contains(text, says) {
							t.Errorf("there is no %q in %s", says, text)
						}
					}
					if w.Subject != movingUser || w.Hint == "" {
						t.Errorf("%+v", w)
					}
					if encoded := string((&review.Review{}).Encode(result.Warnings)); !strings.Contains(encoded, `"reason": "`+reason+`"`) || !strings.Contains(encoded, `"hint": "`) {
						t.Errorf("the changes do not have it: %s", encoded)
					}
				}
			}
		})
	}
}

// The plan has the connection of the node that an environment moves from, until the
// move is deployed, even if the node has no other environments.
func TestConnectionToPrevious(t *testing.T) {
	result, err := moving(t, func(_, _ map[string]any) {})
	if err != nil || result.Plan.NodeConnections["node-old"].Hostname == "" {
		t.Fatalf("%v, %+v", err, result)
	}
	if slices.Contains(result.Plan.NodeNames(), "node-old") {
		t.Error("a node without environments is a node to deploy to")
	}
	d := result.Plan.WithDeployed(map[string]string{movingUser: "node-a"}, "")
	if _, stays := d.NodeConnections["node-old"]; stays {
		t.Error("a connection stays after its last environment has moved away")
	}
}

// An invalid name of a backup is an error of its project in the plan, and not an error
// of the whole deploy.
func TestMigrationsRefused(t *testing.T) {
	for _, list := range []any{"db", []any{"db; id"}, []any{7}} {
		_, err := moving(t, func(e, _ map[string]any) { e["migrations"] = list })
		if err == nil || !strings.Contains(err.Error(), "acme__site/main") || !strings.Contains(err.Error(), "migrations") {
			t.Errorf("%v: %v", list, err)
		}
	}
}

// A check that cannot be read causes a warning, and the plan is made.
func TestWarnUnreadableCheck(t *testing.T) {
	result, err := moving(t, func(e, _ map[string]any) {
		e["deploymentVerification"] = map[string]any{"checks": []any{
			map[string]any{"name": "good", "request": map[string]any{"path": "login", "method": "get"}},
			map[string]any{"name": "odd", "constraints": []any{map[string]any{"rule": "stdoutRegexMustMatch", "value": "(?=x)"}}},
		}}
	})
	if err != nil {
		t.Fatal(err)
	}
	all := warned(result.Warnings, plan.WarnUnreadableCheck)
	if len(all) != 1 || all[0].Subject != movingUser || !strings.HasPrefix(all[0].Message, `deploymentVerification.checks[1] ("odd"): stdoutRegexMustMatch: `) || !strings.Contains(all[0].Hint, "mage plan") {
		t.Errorf("%+v", result.Warnings)
	}
}
