package nix_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	hostnix "github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// A source that is gone, or whose flake.lock cannot be read, fails the environments of
// that source.
func TestPackagesOfBrokenSources(t *testing.T) {
	testenv.Need(t, "git")
	each(t, func(t *testing.T, n nix) {
		root := provider{
			inputs: `
    acme__site = { url = "git+file://DIR/site?ref=main"; flake = false; };
    beta__portal = { url = "git+file://DIR/portal?ref=main"; flake = false; };
    gamma__shop = { url = "git+file://DIR/shop?ref=main"; flake = false; };
`,
			files: map[string]string{
				"site/flake.nix":   withPackage("acme", "site", ""),
				"portal/flake.nix": withPackage("beta", "portal", ""),
				"shop/flake.nix":   withPackage("gamma", "shop", ""),
				"shop/flake.lock":  "{",
			},
			repositories: []string{"site", "portal", "shop"},
		}.make(t, n)
		var lock struct {
			Nodes map[string]struct{ Locked map[string]any }
		}
		text, err := os.ReadFile(filepath.Join(root, "flake.lock"))
		if err == nil {
			err = json.Unmarshal(text, &lock)
		}
		if err != nil {
			t.Fatal(err)
		}
		environment := func(input string) hostnix.Environment {
			return hostnix.Environment{Project: input, Name: "main", Node: "n1", System: "x86_64-linux", Source: maps.Clone(lock.Nodes[input].Locked)}
		}
		gone := environment("acme__site")
		gone.Source["rev"] = strings.Repeat("0", 39) + "1"
		gone.Source["narHash"] = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
		unlocked := environment("acme__site")
		unlocked.Source = nil
		other := environment("beta__portal")
		other.Name = "staging"
		all := map[string]hostnix.Environment{
			"gone": gone, "unlocked": unlocked, "portal": environment("beta__portal"), "other": other, "shop": environment("gamma__shop"),
		}
		packages, failed, err := n.runner(root).Packages(t.Context(), all)
		if err != nil {
			t.Fatal(err)
		}
		if p := packages["portal"]; len(packages) != 1 || p.Name != "main" || p.Output != "out" || !strings.HasSuffix(p.Derivation, "-main.drv") {
			t.Errorf("got %+v", packages)
		}
		for user, want := range map[string]string{
			"gone": "0001", "unlocked": "environment unlocked has no locked source",
			"other": `no packages.x86_64-linux."staging", but main`, "shop": "flake.lock",
		} {
			if failed[user] == nil || !strings.Contains(failed[user].Error(), want) {
				t.Errorf("%s: got %v, want %q", user, failed[user], want)
			}
		}
	})
}

// A flake of the provider's own has its own deploy.nodes.
func TestPackagesWithoutLibrary(t *testing.T) {
	each(t, func(t *testing.T, n nix) {
		dir := realTempDir(t)
		write(t, dir, map[string]string{"flake.nix": "{ outputs = _: { lib.other = 1; }; }"})
		if _, _, err := n.runner(dir).Packages(t.Context(), map[string]hostnix.Environment{"site": {Source: map[string]any{}}}); err != hostnix.ErrNoLibrary {
			t.Errorf("got %v", err)
		}
	})
}
