package nix_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	hostnix "github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// A customer's flake.nix names a folder of the operator's, as an input that is no
// flake, and exports what is in it.
const thief = `{
  inputs.loot = { url = "path:CANARY"; flake = false; };
  outputs = { loot, ... }: {
    lib.hostenv.x86_64-linux.environments.main.users.key = builtins.readFile "${loot}/id_ed25519";
  };
}
`

// Nix locks the operator's keys for a customer whose flake.nix it reads. No run of
// ours evaluates anything with such a lock. With `flake = false` Nix does not read
// them at all.
func TestLootIsNotLocked(t *testing.T) {
	testenv.Need(t, "git")
	each(t, func(t *testing.T, n nix) {
		dir := realTempDir(t)
		write(t, dir, map[string]string{
			"ssh/id_ed25519":     "CANARY-OF-THE-OPERATOR",
			"acme/flake.nix":     strings.ReplaceAll(thief, "CANARY", dir+"/ssh"),
			"provider/flake.nix": fmt.Sprintf(`{ inputs.acme__site.url = "git+file://%s/acme"; outputs = _: throw "evaluated"; }`, dir),
		})
		gitOutput(t, dir+"/acme", "init", "--quiet", "--initial-branch=main")
		gitOutput(t, dir+"/acme", "add", ".")
		gitOutput(t, dir+"/acme", "commit", "--quiet", "--message=loot")
		root := filepath.Join(dir, "provider")
		n.lock(t, root)

		runner := n.runner(root)
		for name, run := range map[string]func() error{
			"Inventory":    func() error { _, err := runner.Inventory(t.Context()); return err },
			"AccessTokens": func() error { _, err := runner.AccessTokens(t.Context()); return err },
			"Installable":  func() error { _, err := runner.Installable(t.Context(), "deploy.nodes"); return err },
			"BuildInput":   func() error { _, err := runner.BuildInput(t.Context(), "deploy-rs"); return err },
		} {
			err := run()
			if err == nil || !strings.Contains(err.Error(), `project acme__site brings "loot" into flake.lock, a folder of this machine`) || strings.Contains(err.Error(), "evaluated") {
				t.Errorf("%s: %v", name, err)
			}
			if hint := problem.Hint(err); !strings.Contains(hint, "inputs.acme__site.flake = false;") {
				t.Errorf("%s: hint %q", name, hint)
			}
		}

		flake := read(t, filepath.Join(root, "flake.nix"))
		write(t, root, map[string]string{"flake.nix": strings.Replace(flake, "{ ", "{ inputs.acme__site.flake = false; ", 1)})
		remove(t, root, "flake.lock") // `nix flake lock` would keep the loot
		n.lock(t, root)
		if lock := read(t, filepath.Join(root, "flake.lock")); strings.Contains(lock, "loot") || strings.Contains(lock, dir+"/ssh") {
			t.Errorf("the lock has what the customer named:\n%s", lock)
		}
		if warning, err := n.runner(root).CheckLock(t.Context()); warning != nil || err != nil {
			t.Errorf("warning %v, error %v", warning, err)
		}
	})
}

// A warning names the customers whose flake.nix Nix reads, with the line to write.
func TestCustomersThatAreRead(t *testing.T) {
	dir := t.TempDir()
	var nodes, inputs []string
	for i := range 7 {
		name := fmt.Sprintf("acme__p%d", i)
		inputs = append(inputs, fmt.Sprintf("%q: %q", name, name))
		nodes = append(nodes, fmt.Sprintf(`%q: {"locked": {"type": "git", "url": "https://a.example/%d"}, "flake": %t}`, name, i, i != 3))
	}
	write(t, dir, map[string]string{"flake.lock": fmt.Sprintf(`{"version": 7, "root": "root", "nodes": {"root": {"inputs": {%s}}, %s}}`, strings.Join(inputs, ","), strings.Join(nodes, ","))})
	warning, err := (&hostnix.Runner{Dir: dir}).CheckLock(t.Context())
	if err != nil || warning == nil {
		t.Fatalf("warning %v, error %v", warning, err)
	}
	if want := "acme__p0, acme__p1, acme__p2, acme__p4, acme__p5, acme__p6 decide what is fetched"; !strings.Contains(warning.Error(), want) {
		t.Errorf("warning %q, want %q", warning, want)
	}
	if want := "write inputs.acme__p0.flake = false; inputs.acme__p1.flake = false;"; !strings.HasPrefix(problem.Hint(warning), want) || !strings.Contains(problem.Hint(warning), "1 more") {
		t.Errorf("hint %q, want %q", problem.Hint(warning), want)
	}
	if err := os.WriteFile(filepath.Join(dir, "flake.lock"), []byte("<<<<<<<"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := (&hostnix.Runner{Dir: dir}).CheckLock(t.Context()); err == nil || !strings.Contains(problem.Hint(err), "git checkout HEAD -- flake.lock") {
		t.Errorf("error %v", err)
	}
}
