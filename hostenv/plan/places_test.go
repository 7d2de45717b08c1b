package plan_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// TestStrangersStayInTheirPlace puts hostile values of every type at every place of an
// environment. Each is refused, with errors about that project alone; or nothing of
// another customer changes in the plan, and of the stranger's own only what the closed
// form of the front door has.
func TestStrangersStayInTheirPlace(t *testing.T) {
	const mark = "EVIL"
	values := []any{
		mark, mark + ".example", "/nix/store/" + mark, "/etc/" + mark, "../" + mark, "-" + mark, mark + "\n}\n", "${" + mark + "}", "$(" + mark + ")",
		"301 https://" + mark + "$request_uri", "unix:/run/hostenv/nginx/portal-main-2d5b67c/in.sock:" + mark,
		map[string]any{mark: mark}, map[string]any{"config": map[string]any{mark: 1}, "options": 1}, []any{mark}, []any{map[string]any{mark: mark}},
		map[string]any{"type": "derivation", "drvPath": mark, "name": mark},
		true, false, nil, 0, -1, 1 << 40, 1.5, "", []any{}, map[string]any{},
	}
	before, err := planned(t, closedInventory(t))
	if err != nil {
		t.Fatal(err)
	}
	others := othersOf(t, before)
	refused, changed := 0, 0
	for _, p := range places(t) {
		for _, value := range values {
			r, err := planned(t, p.put(value))
			if err != nil {
				aboutStranger(t, err)
				refused++
				continue
			}
			changed++
			if got := othersOf(t, r); got != others {
				t.Errorf("%s = %#v changes another customer:\n%s\n%s", p.path, value, got, others)
			}
			for _, where := range marked(at(asTree(t, r.Plan.Encode()), "nodes"), mark) {
				if !inClosedForm(where) {
					t.Errorf("%s = %#v reaches the node at %s", p.path, value, where)
				}
			}
		}
	}
	t.Logf("%d values refused, %d planned", refused, changed)
	if refused == 0 || changed == 0 {
		t.Error("the values test nothing")
	}
}

func asTree(t *testing.T, document []byte) map[string]any {
	t.Helper()
	var tree map[string]any
	if err := json.Unmarshal(document, &tree); err != nil {
		t.Fatal(err)
	}
	return tree
}

// othersOf returns all of a plan that is not the stranger's, without UIDs: they
// depend on the number of environments.
func othersOf(t *testing.T, r *plan.Result) string {
	t.Helper()
	tree := asTree(t, r.Plan.Encode())
	delete(tree, "stateDigest")
	delete(tree, "dnsGate")
	environments, nodes := at(tree, "environments"), at(tree, "nodes")
	for user, v := range environments {
		e := v.(map[string]any)
		if of := at(e, "hostenv"); of["organisation"] == "acme" && of["project"] == "site" {
			delete(environments, user)
			delete(at(tree, "profiles"), user)
			for _, node := range nodes {
				for _, part := range []string{"users", "groups"} {
					delete(at(at(node.(map[string]any), "users"), part), user)
				}
				for host := range at(e, "virtualHosts") {
					delete(at(at(at(node.(map[string]any), "services"), "nginx"), "virtualHosts"), host)
				}
			}
		}
		delete(e, "uid")
	}
	for _, node := range nodes {
		node := node.(map[string]any)
		delete(node, "systemd") // named by UIDs, and by the project
		for _, part := range []string{"users", "groups"} {
			for _, one := range at(at(node, "users"), part) {
				delete(one.(map[string]any), "uid")
				delete(one.(map[string]any), "gid")
			}
		}
	}
	data, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// marked returns the places of the names and values that contain a mark.
func marked(v any, mark string) (places []string) {
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, name := range slices.Sorted(maps.Keys(v)) {
				if strings.Contains(strings.ToUpper(name), mark) {
					places = append(places, path+"/"+name)
				}
				walk(path+"/"+name, v[name])
			}
		case []any:
			for _, one := range v {
				walk(path+"/*", one)
			}
		case string:
			if strings.Contains(strings.ToUpper(v), mark) {
				places = append(places, path)
			}
		}
	}
	walk("", v)
	return places
}

// inClosedForm reports whether a customer's text may stand there: the name of a virtual
// host, the host of a redirect, an answer, and a key of the environment's own user.
func inClosedForm(path string) bool {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")[1:] // without the node
	text := strings.Join(parts, "/")
	switch {
	case strings.HasPrefix(text, "services/nginx/virtualHosts/"):
		return len(parts) == 4 || parts[4] == "globalRedirect" || parts[4] == "locations"
	case strings.HasPrefix(text, "users/users/"):
		return strings.HasSuffix(text, "/openssh/authorizedKeys/keys/*")
	}
	return false
}
