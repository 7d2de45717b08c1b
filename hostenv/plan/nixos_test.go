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
	for _, dir := range scenarios(t) {
		path := filepath.Join(dir, "plan.json")
		data, err := os.ReadFile(path)
		if err != nil {
			continue // the scenario has no plan
		}
		var plan struct {
			Nodes     map[string]json.RawMessage `json:"nodes"`
			Wildcards []wildcard                 `json:"wildcards"`
		}
		if err := json.Unmarshal(data, &plan); err != nil {
			t.Fatal(err)
		}
		path = withoutDisabled(t, path)
		for node := range plan.Nodes {
			t.Run(filepath.Base(dir)+"/"+node, func(t *testing.T) {
				t.Parallel()
				module := certificatesModule(t, node, plan.Wildcards)
				if out, err := exec.Command(eval, "-m", module, path, node).CombinedOutput(); err != nil {
					t.Errorf("%v\n%s", err, tail(out))
				}
			})
		}
	}
}

// A wildcard is an element of wildcards in plan.json.
type wildcard struct {
	Node        string   `json:"node"`
	Certificate string   `json:"certificate"`
	Names       []string `json:"names"`
}

// certificatesModule returns what nix/modules sets: nginx may read every certificate, also
// one that NixOS does not make for a virtual host; and the plan's wildcards are
// certificates.
func certificatesModule(t *testing.T, node string, wildcards []wildcard) string {
	t.Helper()
	certs := map[string]any{}
	for _, w := range wildcards {
		if w.Node == node {
			certs[w.Certificate] = map[string]any{"dnsProvider": "cloudflare", "domain": w.Names[0], "extraDomainNames": w.Names[1:]}
		}
	}
	text, err := json.Marshal(certs)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "certificates.nix")
	module := "{ config, lib, ... }: { security.acme = { defaults.group = lib.mkDefault config.services.nginx.group; certs = builtins.fromJSON ''" + string(text) + "''; }; }"
	if err := os.WriteFile(path, []byte(module), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
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
