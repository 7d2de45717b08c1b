package nix_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// deployable evaluates what a deploy reads of a plan, but for NixOS and packages.
const deployable = `file: let
  plan = import ../lib/plan-types.nix "plan.json" (builtins.fromJSON (builtins.readFile file));
  inherit (import ../lib/environments.nix { inherit plan; overrides = { }; root = ./.; }) enabled;
  spec = (import ../lib/deploy.nix).specOf {
    inherit plan;
    systems = builtins.mapAttrs (node: _: { config.system.build.toplevel = "/system"; }) plan.nodes;
    packages = builtins.mapAttrs (_: e: "/package/${e.hostenv.environmentName}") plan.environments;
    activate = _: { nixos = _: "/nixos"; custom = base: script: toString base + script; };
  };
  type = (import ../modules/environments.nix { lib = { mkOption = o: o; mkOptionType = t: t; mergeOneOption = _: defs: (builtins.head defs).value; concatStringsSep = builtins.concatStringsSep; }; }).options.hostenv.environments.type;
  taken = map (node: type.merge [ ] [{ file = "plan.json"; value = (import ../lib/nodes.nix).environmentsOn plan node; }]) (builtins.attrNames plan.nodes);
in builtins.deepSeq [ enabled spec taken ] true`

// TestNoValueStopsADeploy gives each member of an environment values of each kind. What
// `mage plan` takes, a deploy can evaluate: a value of one customer would
// otherwise stop the deploys of all.
func TestNoValueStopsADeploy(t *testing.T) {
	data, err := os.ReadFile("../../golden/002-b-two-orgs-some-new/inventory.json")
	if err != nil {
		t.Fatal(err)
	}
	var inventory map[string]any
	if err := json.Unmarshal(data, &inventory); err != nil {
		t.Fatal(err)
	}
	project := firstOf(inventory["projects"].(map[string]any))
	environment := firstOf(project["environments"].(map[string]any))
	hostenv := environment["hostenv"].(map[string]any)

	values := []any{nil, true, 5, "x", "", []any{}, []any{nil}, []any{1}, map[string]any{}, map[string]any{"a": nil}, missing{}}
	also := func(object map[string]any, further ...string) []string {
		return slices.Compact(slices.Sorted(slices.Values(append(slices.Collect(maps.Keys(object)), further...))))
	}
	dir, planned, tried := t.TempDir(), []string{}, 0
	try := func(object map[string]any, at, name string) {
		before, had := object[name]
		for _, value := range values {
			object[name] = value
			if value == (missing{}) {
				delete(object, name)
			}
			changed, err := json.Marshal(inventory)
			if err != nil {
				t.Fatal(err)
			}
			tried++
			inv, err := plan.DecodeInventory(changed)
			if err != nil {
				continue
			}
			result, err := plan.Compute(plan.Input{Inventory: inv, State: state.New()})
			if err != nil {
				continue
			}
			file := filepath.Join(dir, fmt.Sprintf("%04d.json", len(planned)))
			if err := os.WriteFile(file, result.Plan.Encode(), 0o600); err != nil {
				t.Fatal(err)
			}
			planned = append(planned, fmt.Sprintf("%s%s = %#v", at, name, value))
		}
		if object[name] = before; !had {
			delete(object, name)
		}
	}
	for _, name := range also(environment, "migrations", "deploymentVerification", "profileLink", "tempPath", "uid", "formerNames", "node", "previousNode", "source") {
		try(environment, "", name)
	}
	for _, name := range also(hostenv, "backupsRepoHost", "migrations", "root", "stateDir", "dataDir", "cacheDir", "runtimeDir", "backupsSecretFile", "backupsEnvFile") {
		try(hostenv, "hostenv.", name)
	}
	if tried < 300 || len(planned) < 50 {
		t.Fatalf("%d values tried, %d planned", tried, len(planned))
	}
	n := first(t)
	evaluate := func(files string) (string, error) {
		_, log, err := n.try(t, "eval", "--extra-experimental-features", "nix-command", "--impure", "--expr", "map ("+deployable+") ["+files+"]")
		return log, err
	}
	var all strings.Builder
	for i := range planned {
		fmt.Fprintf(&all, " %s/%04d.json", dir, i)
	}
	if _, err := evaluate(all.String()); err == nil {
		return
	}
	for i, what := range planned { // find those that fail
		if log, err := evaluate(fmt.Sprintf(" %s/%04d.json", dir, i)); err != nil {
			t.Errorf("%s is planned, and stops a deploy:\n%s", what, log[max(0, len(log)-600):])
		}
	}
}

// missing, as a value, stands for a member that is left out.
type missing struct{}

// firstOf returns the first member of an object, by name.
func firstOf(object map[string]any) map[string]any {
	return object[slices.Sorted(maps.Keys(object))[0]].(map[string]any)
}
