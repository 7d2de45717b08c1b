package cloudflare_test

import (
	"os/exec"
	"strings"
	"testing"
)

// The library's root package pulls 131 packages and the memory of a compiler
// that has to see them all.
func TestDependencies(t *testing.T) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skipf("left out, for there is no go: %v", err)
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
			t.Errorf("%s (%s) is pulled in", dependency, version)
		}
	}
	if n == 0 || n > 15 {
		t.Errorf("%d packages of the library are pulled in, want at most 15", n)
	}
}
