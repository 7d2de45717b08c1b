package flakes

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/options.md")

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
			w.Errorf("docs/options.md differs from nix/options (-recorded +rendered); go test ./nix/tests/flakes -run TestOptionsDoc -update writes it:\n%s", diff(string(want), got))
		}
	})
}

// All names in provider-defaults, and all that the inventory leaves out, are options.
func TestOptionsExist(t *testing.T) {
	for file, pattern := range map[string]string{
		"../../lib/provider-defaults.nix": `(?m)^    (\w+) = `,
		"../../lib/provider-options.nix":  `(?m)^    "(\w+)"$`,
	} {
		names := regexp.MustCompile(pattern).FindAllStringSubmatch(read(t, file), -1)
		if len(names) < 8 {
			t.Fatalf("%s names %d options", file, len(names))
		}
		for _, match := range names {
			if name := match[1]; !exists(filepath.Join("../../options", name+".nix")) {
				t.Errorf("%s names %s, which is not an option", file, name)
			}
		}
	}
}
