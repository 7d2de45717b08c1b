package nix_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// twoCustomers is a provider with acme__site, whose files are given, and beta__portal.
func twoCustomers(t *testing.T, n nix, site map[string]string) (root string) {
	t.Helper()
	files := map[string]string{"portal/flake.nix": withPackage("beta", "portal", "")}
	for name, text := range site {
		files["site/"+name] = text
	}
	return provider{
		inputs: `
    acme__site = { url = "git+file://DIR/site?ref=main"; flake = false; };
    beta__portal = { url = "git+file://DIR/portal?ref=main"; flake = false; };
`,
		files: files, repositories: []string{"site", "portal"},
	}.make(t, n)
}

// onlyAcme asks for the inventory and for the packages, of which beta's must be there,
// and returns the errors of acme.
func onlyAcme(t *testing.T, n nix, root string) (inventory, ofPackage error) {
	t.Helper()
	_, inventory = n.runner(root).Inventory(t.Context())
	for _, failure := range problem.Leaves(inventory) {
		if !strings.Contains(failure.Error(), "project acme__site: ") {
			t.Errorf("the inventory has an error that is not acme's: %v", failure)
		}
	}
	_, ofPackage = packageOf(t, n, n.runner(root)) // an error unless beta's is evaluated
	return inventory, ofPackage
}

// What one customer's flake.lock names has no part in the evaluation of others.
func TestLockOfAnother(t *testing.T) {
	testenv.Need(t, "git")
	many, inputs := map[string]any{}, map[string]any{}
	for i := range 3000 {
		name := fmt.Sprint(i)
		hash := sha256.Sum256([]byte(name))
		many[name] = map[string]any{"locked": map[string]any{"type": "github", "owner": "a", "repo": name, "rev": strings.Repeat("0", 40), "narHash": "sha256-" + base64.StdEncoding.EncodeToString(hash[:])}}
		inputs[name] = name
	}
	many["list"] = map[string]any{"locked": map[string]any{"type": "github", "owner": "a", "repo": "b", "rev": []any{}, "narHash": []any{map[string]any{}}}}
	inputs["list"] = "list"
	many["root"] = map[string]any{"inputs": inputs}
	itself := map[string]any{
		"root": map[string]any{"inputs": map[string]any{"a": "a"}},
		"a":    map[string]any{"locked": map[string]any{"type": "path", "path": "./a"}, "inputs": map[string]any{"a": "a"}},
	}
	each(t, func(t *testing.T, n nix) {
		for want, nodes := range map[string]map[string]any{"longer than": many, "within itself": itself} {
			lock, err := json.Marshal(map[string]any{"version": 7, "root": "root", "nodes": nodes})
			if err != nil {
				t.Fatal(err)
			}
			root := twoCustomers(t, n, map[string]string{"flake.nix": withPackage("acme", "site", ""), "flake.lock": string(lock)})
			inventory, ofPackage := onlyAcme(t, n, root)
			for _, err := range []error{inventory, ofPackage} {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: error %v", want, err)
				}
			}
		}
	})
}

// What a package says of itself is a name and store paths, or is refused: the
// evaluation of all nodes gets it.
func TestPackageOfAnother(t *testing.T) {
	testenv.Need(t, "git")
	each(t, func(t *testing.T, n nix) {
		for _, instead := range []string{
			`{ name = "main"; outPath = builtins.concatStringsSep "" (builtins.genList (_: "/nix/store/x") 20000); }`,
			`{ name = "main"; outPath = "/home/op/.ssh"; }`,
			`{ name = "main"; outPath = "/nix/store/00000000000000000000000000000000-a/../../../etc"; }`,
			`{ name = "main"; outPath = "${made}\n"; }`,
			`(made // { name = "main.drv"; })`,
			`(made // { name = "../main"; })`,
			`(made // { name = "\${x}"; })`,
			`(made // { outPath = "${made}${made.drvPath}"; })`,
			`(made // { outPath = made.drvPath; })`,
		} {
			flake := strings.Replace(withPackage("acme", "site", ""), "packages.x86_64-linux.main = ", "packages.x86_64-linux.main = let made = ", 1)
			flake = strings.Replace(flake, `project = "site"; };`, `project = "site"; }; in `+instead+";", 1)
			root := twoCustomers(t, n, map[string]string{"flake.nix": flake})
			if drv, err := packageOf(t, n, n.runner(root)); err == nil || !strings.Contains(err.Error(), "its package") && !strings.Contains(err.Error(), "no derivation with a name") {
				t.Errorf("%s: %s, %v", instead, drv, err)
			} else if len(err.Error()) > 1000 {
				t.Errorf("%s: an error of %d bytes", instead, len(err.Error()))
			}
		}
	})
}
