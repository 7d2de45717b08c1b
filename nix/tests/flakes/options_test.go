package flakes

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/options.md anew")

// docs/options.md matches the options, and is the same under every Nix.
func TestOptionsDoc(t *testing.T) {
	const file = "../../../docs/options.md"
	underEachNix(t, func(w *world) {
		lib := strings.TrimPrefix(w.nixpkgsLib(), "git+file://") + "/lib"
		module, err := filepath.Abs("../../options-doc.nix")
		if err != nil {
			w.Fatal(err)
		}
		got := w.mustRun(w.nix, "eval", "--impure", "--raw", "--expr", fmt.Sprintf("import %s { lib = import %s; }", module, lib))
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				w.Fatal(err)
			}
		}
		if want, _ := os.ReadFile(file); string(want) != got {
			w.Errorf("docs/options.md is not what nix/options says (-recorded +rendered); go test ./nix/tests/flakes -run TestOptionsDoc -update writes it anew:\n%s", diff(string(want), got))
		}
	})
}

// Each option is in a file of its name. All names in provider-defaults, and all that
// are left out of the inventory, are options.
func TestOptionsHaveTheirFiles(t *testing.T) {
	entries, err := os.ReadDir("../../options")
	if err != nil {
		t.Fatal(err)
	}
	var options []string
	for _, entry := range entries {
		name := strings.TrimSuffix(entry.Name(), ".nix")
		options = append(options, name)
		if text := read(t, filepath.Join("../../options", entry.Name())); !strings.Contains(text, "options.provider."+name+" = ") {
			t.Errorf("nix/options/%s declares another option", entry.Name())
		}
	}
	for file, pattern := range map[string]string{
		"../../lib/provider-defaults.nix": `(?m)^    (\w+) = `,
		"../../lib/provider-options.nix":  `(?m)^    "(\w+)"$`,
	} {
		names := regexp.MustCompile(pattern).FindAllStringSubmatch(read(t, file), -1)
		if len(names) < 8 {
			t.Fatalf("%s names %d options", file, len(names))
		}
		for _, match := range names {
			if name := match[1]; !slices.Contains(options, name) {
				t.Errorf("%s names %s, which is no option", file, name)
			}
		}
	}
}
