package plan_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// stranger is the project whose environment the tests below change, and victim is
// another customer of the same provider.
const stranger, victim = "acme__site", "beta__portal"

// closedInventory is an inventory of two customers under the closed front door.
func closedInventory(t *testing.T) []byte {
	t.Helper()
	tree := asTree(t, readInventory(t, filepath.Join("..", "..", "golden", "002-b-two-orgs-some-new")))
	delete(at(tree, "provider"), "frontDoor")
	data, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// A place is somewhere in an environment: put returns the inventory with another
// value there.
type place struct {
	path  string
	value any
	put   func(value any) []byte
}

// places returns every place in the environment main of the stranger, with the value
// that stands there.
func places(t *testing.T) []place {
	t.Helper()
	text := closedInventory(t)
	environment := func(tree map[string]any) map[string]any {
		return at(at(at(at(tree, "projects"), stranger), "environments"), "main")
	}
	tree := func() map[string]any {
		var tree map[string]any
		if err := json.Unmarshal(text, &tree); err != nil {
			t.Fatal(err)
		}
		return tree
	}
	var all []place
	var walk func(path []string, value any)
	walk = func(path []string, value any) {
		all = append(all, place{strings.Join(path, "/"), value, func(value any) []byte {
			whole := tree()
			if len(path) == 0 {
				at(at(at(whole, "projects"), stranger), "environments")["main"] = value
			} else {
				set(environment(whole), path, value)
			}
			data, err := json.Marshal(whole)
			if err != nil {
				t.Fatal(err)
			}
			return data
		}})
		switch value := value.(type) {
		case map[string]any:
			for _, name := range slices.Sorted(maps.Keys(value)) {
				walk(append(slices.Clone(path), name), value[name])
			}
		case []any:
			for i, v := range value {
				walk(append(slices.Clone(path), fmt.Sprint(i)), v)
			}
		}
	}
	walk(nil, any(environment(tree())))
	if len(all) < 50 {
		t.Fatalf("only %d places", len(all))
	}
	return all
}

func set(value any, path []string, to any) {
	for _, name := range path[:len(path)-1] {
		value = child(value, name)
	}
	switch last := path[len(path)-1]; value := value.(type) {
	case map[string]any:
		value[last] = to
	case []any:
		value[index(last)] = to
	}
}

func child(value any, name string) any {
	if list, ok := value.([]any); ok {
		return list[index(name)]
	}
	return value.(map[string]any)[name]
}

func index(name string) int {
	var i int
	_, _ = fmt.Sscan(name, &i)
	return i
}

// planned computes an inventory without a prior state.
func planned(t *testing.T, inventory []byte) (*plan.Result, error) {
	t.Helper()
	inv, err := plan.DecodeInventory(inventory)
	if err != nil {
		t.Fatal(err)
	}
	return refusing(plan.Input{Inventory: inv, State: state.State{}})
}

// aboutStranger fails if an error is not about the stranger's project alone.
func aboutStranger(t *testing.T, err error) {
	t.Helper()
	for _, leaf := range problem.Leaves(err) {
		if !strings.Contains(leaf.Error(), stranger) || strings.Contains(leaf.Error(), victim) {
			t.Errorf("the error is not about the project that caused it: %v", leaf)
		}
	}
}

// TestReservedAttributes puts every kind of attribute that NixOS's module system or
// Nix interprets at every place of an environment.
func TestReservedAttributes(t *testing.T) {
	for _, p := range places(t) {
		for _, value := range []any{
			map[string]any{"_type": "override", "priority": 10, "content": p.value},
			map[string]any{"_type": "if", "condition": true, "content": p.value},
			map[string]any{"_module": map[string]any{"args": map[string]any{}}},
			map[string]any{"imports": []any{"/tmp/evil.nix"}},
			map[string]any{"__functor": "x"},
			map[string]any{"__toString": "x"},
			map[string]any{"outPath": "/etc/shadow"},
			map[string]any{"disabledModules": []any{"services/networking/ssh/sshd.nix"}},
			[]any{[]any{map[string]any{"_file": "x"}}},
		} {
			r, err := planned(t, p.put(value))
			if err == nil {
				t.Fatalf("%s: %v is planned: %v", p.path, value, r.Plan.Environments)
			}
			if !strings.Contains(err.Error(), "interprets an attribute of this name") && !strings.Contains(err.Error(), "main is not an object") {
				t.Errorf("%s: %v is refused for another reason: %v", p.path, value, err)
			}
			aboutStranger(t, err)
		}
	}
}

// TestIdentityIsComputed replaces each name and path that hostenv derives.
func TestIdentityIsComputed(t *testing.T) {
	derived := map[string]bool{}
	for _, p := range places(t) {
		option, ok := strings.CutPrefix(p.path, "hostenv/")
		if !ok || slices.Contains([]string{"backupsRepoHost", "gitRef", "projectNameHash", "root", "safeEnvironmentName"}, option) {
			continue
		}
		derived[option] = true
		said, _ := p.value.(string)
		for _, value := range []any{"ops", "root", "slot1-main-b7ea262", "portal-main-2d5b67c", "/etc/shadow", "../" + said, said + "x", "x" + said, strings.ToUpper(said),
			"", 7, true, []any{said}, map[string]any{"a": said}} {
			if value == said || option == "hostenvHostname" && value == strings.ToUpper(said) {
				continue
			}
			if r, err := planned(t, p.put(value)); err == nil {
				t.Errorf("hostenv.%s = %#v is planned: %+v", option, value, r.Plan.Environments)
			} else {
				aboutStranger(t, err)
			}
		}
	}
	for _, option := range []string{"organisation", "project", "environmentName", "userName", "hostname", "hostenvHostname"} {
		if !derived[option] {
			t.Errorf("the scenario has no hostenv.%s", option)
		}
	}
}

// TestNoDefaultForNames: a null is not the same as no value.
func TestNoDefaultForNames(t *testing.T) {
	for _, p := range places(t) {
		if p.path != "hostenv" {
			continue
		}
		hostenv := maps.Clone(p.value.(map[string]any))
		hostenv["environmentName"], hostenv["userName"] = nil, "ops"
		if r, err := planned(t, p.put(hostenv)); err == nil {
			t.Errorf("planned: %+v", r.Plan.Environments)
		}
	}
}
