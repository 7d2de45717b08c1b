package plan_test

import (
	"bytes"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/names"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// TestAgain computes every scenario a second time from the encoded result, and expects
// no change.
func TestAgain(t *testing.T) {
	for _, dir := range scenarios(t) {
		first := run(t, dir)
		if first.err != nil {
			continue
		}
		second := compute(t, readInventory(t, dir), roundTrip(t, first.State))
		if len(second.Changes) > 0 {
			t.Errorf("%s: a second run changes %v", dir, second.Changes)
		}
		if diff := cmp.Diff(string(first.State.Encode()), string(second.State.Encode())); diff != "" {
			t.Errorf("%s: a second run makes another state:\n%s", dir, diff)
		}
		// A name may have got an owner, of which the reason of a project that claims it
		// speaks then.
		first.Plan.HeldBack, second.Plan.HeldBack = nil, nil
		if len(first.Warnings) == len(second.Warnings) && !hasOldPlan(dir) && !bytes.Equal(first.Plan.Encode(), second.Plan.Encode()) {
			t.Errorf("%s: a second run makes another plan", dir)
		}
	}
}

func hasOldPlan(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "old-plan.json"))
	return err == nil
}

func readInventory(t testing.TB, dir string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "inventory.json"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func compute(t testing.TB, inventory []byte, prior state.State) *plan.Result {
	t.Helper()
	inv, err := plan.DecodeInventory(inventory)
	if err != nil {
		t.Fatal(err)
	}
	result, err := plan.Compute(plan.Input{Inventory: inv, State: prior})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func roundTrip(t testing.TB, s state.State) state.State {
	t.Helper()
	again, err := state.Decode(s.Encode())
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// TestPlanIsConsistent compares the parts of every accepted plan with each other and
// with its state.
func TestPlanIsConsistent(t *testing.T) {
	for _, dir := range scenarios(t) {
		if o := run(t, dir); o.err == nil {
			checkResult(t, dir, o.Result)
		}
	}
}

func checkResult(t testing.TB, name string, r *plan.Result) {
	t.Helper()
	if err := r.State.Validate(); err != nil {
		t.Fatalf("%s: the next state is refused: %v", name, err)
	}
	data := r.Plan.Encode()
	document, err := plan.DecodeDocument(data)
	if err != nil {
		t.Fatalf("%s: the plan is refused: %v", name, err)
	}
	if !bytes.Equal(data, document.Encode()) {
		t.Fatalf("%s: the plan's bytes are not canonical", name)
	}
	if err := plan.CheckFresh(data, r.State); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	v, err := canonjson.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	tree := v.(map[string]any)
	environments := at(tree, "environments")
	nodes := at(tree, "nodes")
	hosts := map[string]string{}
	for user, v := range environments {
		e := v.(map[string]any)
		entry, ok := r.State.Entries[user]
		if !ok || entry.Retired || e["uid"] != int64(entry.UID) || e["node"] != entry.Node {
			t.Errorf("%s: %s has uid %v on %v in the plan, and %+v in the state", name, user, e["uid"], e["node"], entry)
		}
		node := at(nodes, entry.Node)
		_, hasUser := at(node, "users", "users")[user]
		enabled := e["enable"] != false
		if hasUser != enabled {
			t.Errorf("%s: %s is enabled=%v, and on its node=%v", name, user, enabled, hasUser)
		}
		for host := range at(e, "virtualHosts") {
			if other, taken := hosts[host]; taken {
				t.Errorf("%s: %s and %s both have %s", name, user, other, host)
			}
			hosts[host] = user
			if !slices.Contains(entry.VirtualHosts, host) {
				t.Errorf("%s: %s serves %s, which it does not own", name, user, host)
			}
			if _, served := at(node, "services", "nginx", "virtualHosts")[host]; served != enabled {
				t.Errorf("%s: %s of %s is enabled=%v, and on its node=%v", name, host, user, enabled, served)
			}
		}
	}
	for node := range nodes {
		users := at(nodes, node, "users", "users")
		uids := map[any]string{}
		for user := range users {
			uid := at(users, user)["uid"]
			if other, taken := uids[uid]; taken {
				t.Errorf("%s: %s and %s share the UID %v on %s", name, user, other, uid, node)
			}
			uids[uid] = user
			if at(nodes, node, "users", "groups", user)["gid"] != uid {
				t.Errorf("%s: the group of %s has another number", name, user)
			}
			if at(nodes, node, "systemd", "services", "user@"+strconv.FormatInt(uid.(int64), 10)) == nil {
				t.Errorf("%s: %s is in no slice on %s", name, user, node)
			}
		}
		if at(nodes, node, "services", "nginx", "virtualHosts", "default")["rejectSSL"] != true {
			t.Errorf("%s: %s has no catch-all", name, node)
		}
	}
	if bytes.Contains(data, []byte("/nix/store/")) {
		t.Errorf("%s: the plan holds a store path", name)
	}
}

// at returns the object at a path, or an empty one if it is missing.
func at(v map[string]any, path ...string) map[string]any {
	for _, name := range path {
		v, _ = v[name].(map[string]any)
	}
	return v
}

// settled plans once more if projects are held back: a name that one of them claims may
// have got its owner, of which the reason then speaks.
func settled(t testing.TB, inv *plan.Inventory, r *plan.Result) *plan.Result {
	t.Helper()
	if len(r.Held) == 0 {
		return r
	}
	again, err := plan.Compute(plan.Input{Inventory: inv, Sources: r.Plan.Sources(), State: r.State, Last: &r.Plan})
	if err != nil {
		t.Fatal(err)
	}
	if len(again.Changes) > 0 {
		t.Errorf("a second run changes %v", again.Changes)
	}
	return again
}

// TestWholeInventoryIsCarried expects every value of every environment in the plan,
// except the values that the plan replaces. A project that is held back, and that no plan
// had, is not in it.
func TestWholeInventoryIsCarried(t *testing.T) {
	for _, dir := range scenarios(t) {
		o := run(t, dir)
		if o.err != nil {
			continue
		}
		inventory, err := canonjson.Decode(readInventory(t, dir))
		if err != nil {
			t.Fatal(err)
		}
		planned := at(decoded(t, o.Plan.Encode()).(map[string]any), "environments")
		for input := range at(inventory.(map[string]any), "projects") {
			for name, v := range at(inventory.(map[string]any), "projects", input, "environments") {
				before := v.(map[string]any)
				user := at(before, "hostenv")["userName"].(string)
				after, ok := planned[user].(map[string]any)
				if h := held(o.Result, input); h != nil && !slices.Contains(h.Keeps, user) {
					if ok {
						t.Errorf("%s: %s/%s is planned, and held back", dir, input, name)
					}
					continue
				}
				for field, value := range before {
					if field == "virtualHosts" {
						continue
					}
					if diff := cmp.Diff(value, after[field]); diff != "" {
						t.Errorf("%s: %s/%s.%s is not as it was:\n%s", dir, input, name, field, diff)
					}
				}
				for host, v := range at(before, "virtualHosts") {
					normal, err := names.ParseHost(host)
					if err != nil {
						t.Fatal(err)
					}
					for field, value := range v.(map[string]any) {
						switch field {
						case "enableLetsEncrypt", "locations":
						default:
							if diff := cmp.Diff(value, at(after, "virtualHosts", string(normal))[field]); diff != "" {
								t.Errorf("%s: %s.%s is not as it was:\n%s", dir, host, field, diff)
							}
						}
					}
				}
			}
		}
	}
}

// TestPure checks that this package and those of the state do not import packages with
// side effects, because results must depend on the arguments only.
func TestPure(t *testing.T) {
	for _, dir := range []string{".", "../state", "../internal/canonjson"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no files in %s: %v", dir, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, spec := range parsed.Imports {
				path, _ := strconv.Unquote(spec.Path.Value)
				for _, impure := range []string{"os", "os/exec", "net", "net/http", "time", "math/rand", "math/rand/v2", "crypto/rand", "log", "syscall", "runtime"} {
					if path == impure {
						t.Errorf("%s imports %s", file, path)
					}
				}
			}
		}
	}
}

// FuzzCompute mutates inventories. An accepted plan must be consistent, and the same if
// it is computed again. Every error must have a hint.
func FuzzCompute(f *testing.F) {
	for _, dir := range scenarios(f) {
		if data := readInventory(f, dir); len(data) < 20_000 {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		inv, err := plan.DecodeInventory(data)
		if err != nil {
			return
		}
		result, err := plan.Compute(plan.Input{Inventory: inv, State: state.New()})
		if err != nil {
			for _, err := range problem.Leaves(err) {
				hinter, ok := err.(interface{ Hint() string })
				if !ok || hinter.Hint() == "" {
					t.Errorf("%T has no hint: %v", err, err)
				}
			}
			return
		}
		if bytes.Contains(data, []byte("/nix/store/")) {
			return // the plan may copy such a string from another field
		}
		checkResult(t, "fuzz", result)
		result = settled(t, inv, result)
		again, err := plan.Compute(plan.Input{Inventory: inv, State: roundTrip(t, result.State), Last: &result.Plan})
		if err != nil {
			t.Fatalf("a second run is refused: %v", err)
		}
		if len(again.Changes) > 0 || !bytes.Equal(again.Plan.Encode(), result.Plan.Encode()) {
			t.Fatalf("a second run changes %v", again.Changes)
		}
	})
}
