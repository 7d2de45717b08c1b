package cloudflare_test

import (
	"os/exec"
	"strings"
	"testing"
)

// The package does not import the library's root package, which imports 131 others and
// needs much memory to compile.
func TestDependencies(t *testing.T) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skipf("skipped, because go is missing: %v", err)
	}
	out, err := exec.CommandContext(t.Context(), goTool, "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	const library = "github.com/cloudflare/cloudflare-go/"
	n := 0
	for dependency := range strings.FieldsSeq(string(out)) {
		if !strings.HasPrefix(dependency, library) {
			continue
		}
		n++
		version, rest, _ := strings.Cut(strings.TrimPrefix(dependency, library), "/")
		switch top, _, _ := strings.Cut(rest, "/"); top {
		case "dns", "zones", "option", "internal", "packages", "shared", "rules": // the last by zones
		default:
			t.Errorf("the package imports %s (%s)", dependency, version)
		}
	}
	if n == 0 || n > 15 {
		t.Errorf("the package imports %d packages of the library, want 1 to 15", n)
	}
}
