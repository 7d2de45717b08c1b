package plan_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// TestNodesAreNixOS evaluates every node of every accepted plan as a whole system with
// NixOS's own modules. It expects no unknown option, no value of a wrong type and no
// failed assertion.
func TestNodesAreNixOS(t *testing.T) {
	eval := filepath.Join(testenv.Need(t, "nixos-eval"), "run.sh")
	testenv.Need(t, "nix")
	// What nix/modules/acme.nix sets: nginx may read every certificate, also one that NixOS
	// does not make for a virtual host.
	module := filepath.Join(t.TempDir(), "acme.nix")
	text := "{ config, lib, ... }: { security.acme.defaults.group = lib.mkDefault config.services.nginx.group; }"
	if err := os.WriteFile(module, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, dir := range scenarios(t) {
		path := filepath.Join(dir, "plan.json")
		data, err := os.ReadFile(path)
		if err != nil {
			continue // the scenario has no plan
		}
		var plan struct {
			Nodes map[string]json.RawMessage `json:"nodes"`
		}
		if err := json.Unmarshal(data, &plan); err != nil {
			t.Fatal(err)
		}
		path = withoutDisabled(t, path)
		for node := range plan.Nodes {
			t.Run(filepath.Base(dir)+"/"+node, func(t *testing.T) {
				t.Parallel()
				if out, err := exec.Command(eval, "-m", module, path, node).CombinedOutput(); err != nil {
					t.Errorf("%v\n%s", err, tail(out))
				}
			})
		}
	}
}

// TestLegacyNodesAreRefused checks that the evaluation can fail: it refuses the plan of the
// legacy generator.
func TestLegacyNodesAreRefused(t *testing.T) {
	eval := filepath.Join(testenv.Need(t, "nixos-eval"), "run.sh")
	testenv.Need(t, "nix")
	dir := scenarios(t)[slices.IndexFunc(scenarios(t), func(dir string) bool { return strings.HasPrefix(filepath.Base(dir), "001-") })]
	out, err := exec.Command(eval, filepath.Join(dir, "legacy-plan.json"), "node-a").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "allowIndexing' does not exist") {
		t.Errorf("the legacy plan should be refused for allowIndexing, got %v\n%s", err, tail(out))
	}
}

// withoutDisabled returns a plan with only the enabled environments, because the
// stand-in for the provider's modules treats every environment as enabled. The nodes,
// which the test is about, do not change.
func withoutDisabled(t *testing.T, path string) string {
	document := decoded(t, readFile(t, path)).(map[string]any)
	environments := document["environments"].(map[string]any)
	changed := false
	for user, e := range environments {
		if e.(map[string]any)["enable"] == false {
			delete(environments, user)
			changed = true
		}
	}
	if !changed {
		return path
	}
	path = filepath.Join(t.TempDir(), "plan.json")
	if err := os.WriteFile(path, canonjson.Encode(document), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func tail(out []byte) string {
	return string(out[max(0, len(out)-2000):])
}
