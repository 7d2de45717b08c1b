package nix_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	hostnix "github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// counting is a nix that writes down which files of nix/lib it evaluates. It runs
// without bubblewrap, in which it could not write.
func counting(t *testing.T, n nix) (counted nix, evaluated func() []string) {
	t.Helper()
	dir := t.TempDir()
	program, log := filepath.Join(dir, "nix"), filepath.Join(dir, "log")
	write(t, dir, map[string]string{"nix": fmt.Sprintf(`#!/bin/sh
for file in held-project.nix held-packages.nix; do
  case "$*" in *"$file"*) echo "$file" >>%s ;; esac
done
exec %s "$@"
`, log, n.binary)})
	if err := os.Chmod(program, 0o755); err != nil {
		t.Fatal(err)
	}
	counted = n
	counted.binary = program
	counted.env = append(slices.Clone(n.env), "PATH="+withoutBubblewrap(t))
	return counted, func() []string {
		text, _ := os.ReadFile(log) // not there before the first evaluation
		_ = os.Remove(log)
		return strings.Fields(string(text))
	}
}

// withPackage is a customer's flake with a package.
func withPackage(organisation, project, attributes string) string {
	return strings.Replace(customer(organisation, project, attributes), "{ outputs = _: {", `{ outputs = _: {
  packages.x86_64-linux.main = derivation { name = "main"; system = "x86_64-linux"; builder = "/bin/sh"; project = "`+project+`"; };`, 1)
}

// A plan evaluates only what changed since a former one: the result of a held
// evaluation is kept.
func TestResultsAreKept(t *testing.T) {
	testenv.Need(t, "git")
	each(t, func(t *testing.T, n nix) {
		counted, evaluated := counting(t, n)
		root := provider{
			inputs: `
    acme__site = { url = "git+file://DIR/site?ref=main"; flake = false; };
    beta__portal = { url = "git+file://DIR/portal?ref=main"; flake = false; };
`,
			files: map[string]string{
				"site/flake.nix":   withPackage("acme", "site", `type = "production";`),
				"portal/flake.nix": withPackage("beta", "portal", ""),
			},
			repositories: []string{"site", "portal"},
		}.make(t, n)
		inventory := func(want ...string) string {
			t.Helper()
			document, err := counted.runner(root).Inventory(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := evaluated(); !slices.Equal(got, want) {
				t.Errorf("it evaluates %q, want %q", got, want)
			}
			return string(document)
		}
		const project, packages = "held-project.nix", "held-packages.nix"
		first := inventory(project, project)
		if diff := cmp.Diff(first, inventory()); diff != "" {
			t.Errorf("the second time (-first +second):\n%s", diff)
		}

		// The provider's own options are no part of it, but what projects get of them is.
		change := func(name, from, to string) {
			t.Helper()
			file := filepath.Join(filepath.Dir(root), name)
			text, err := os.ReadFile(file)
			if err != nil || !strings.Contains(string(text), from) {
				t.Fatalf("%s has no %s: %v", file, from, err)
			}
			write(t, filepath.Dir(root), map[string]string{name: strings.Replace(string(text), from, to, 1)})
		}
		change("provider/flake.nix", "provider = {", `provider = { deployUser = "other";`)
		inventory()
		change("site/flake.nix", "production", "testing")
		gitOutput(t, filepath.Join(filepath.Dir(root), "site"), "commit", "--quiet", "--all", "--message=testing")
		inventory()
		if err := os.Remove(filepath.Join(root, "flake.lock")); err != nil {
			t.Fatal(err)
		}
		n.lock(t, root)
		if changed := inventory(project); !strings.Contains(changed, `"testing"`) {
			t.Errorf("the inventory has not the new type: %s", changed)
		}

		// Files that are no results are not taken for such.
		folder := filepath.Join(homeOf(n), ".cache/hostenv-provider/evaluations")
		files, err := os.ReadDir(folder)
		if err != nil || len(files) != 3 {
			t.Fatalf("%s has %d files, %v", folder, len(files), err)
		}
		for _, file := range files {
			write(t, folder, map[string]string{file.Name(): `{"broken`})
		}
		inventory(project, project)

		// A package whose derivation was collected is evaluated again.
		first, err = packageOf(t, n, counted.runner(root))
		if err != nil || !slices.Equal(evaluated(), []string{packages, packages}) {
			t.Fatal(err)
		}
		second, err := packageOf(t, n, counted.runner(root))
		if got := evaluated(); err != nil || first != second || len(got) != 0 {
			t.Errorf("it evaluates %q, %v", got, err)
		}
		stores, err := filepath.Glob(n.inStore("/nix/store/*-main.drv"))
		if err != nil || len(stores) != 2 {
			t.Fatalf("the store has %q, %v", stores, err)
		}
		if _, err := n.runner(root).Run(t.Context(), hostnix.Command{Program: "nix-store", Args: []string{"--delete", "/nix/store/" + filepath.Base(stores[0])}}); err != nil {
			t.Fatal(err)
		}
		second, err = packageOf(t, n, counted.runner(root))
		if got := evaluated(); err != nil || first != second || !slices.Equal(got, []string{packages}) {
			t.Errorf("after the collection it evaluates %q, %v", got, err)
		}
	})
}

func homeOf(n nix) string {
	for _, kv := range slices.Backward(n.env) {
		if home, ok := strings.CutPrefix(kv, "HOME="); ok {
			return home
		}
	}
	return ""
}
