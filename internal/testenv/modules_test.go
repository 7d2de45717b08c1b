package testenv_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// Every go.mod is as `go mod tidy` makes it. The test uses no network: `mage test`
// fetches the modules before, if there is a network.
func TestTidy(t *testing.T) {
	for dir, required := range map[string]bool{
		"../..":                             os.Getenv("HOSTENV_TEST_REQUIRE") != "",
		"../../hostenv/dnsgate/conformance": testenv.Required("unshare"),
		"../nixosnode/tools":                testenv.Required("nixos-nodes"),
	} {
		t.Run(dir, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "go", "mod", "tidy", "-diff")
			cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOPROXY=off", "GOFLAGS=", "GOWORK=off", "GOTOOLCHAIN=auto")
			out, err := cmd.CombinedOutput()
			switch {
			case err != nil && isMissing(string(out)) && !required:
				t.Skip("skipped, because modules are missing that mage test fetches")
			case err != nil:
				t.Errorf("go mod tidy changes something, or does not run: %v\n%s", err, out)
			}
		})
	}
	// There are no other modules, except the template's, which `go get` fills.
	eachFile(t, func(path string) {
		if filepath.Base(path) == "go.mod" && path != "go.mod" && path != "hostenv/dnsgate/conformance/go.mod" && path != "internal/nixosnode/tools/go.mod" && path != "nix/template/provider/go.mod" {
			t.Errorf("%s is a module that this test does not check: add it here", path)
		}
	})
}

// isMissing reports whether Go failed because it has to fetch modules, or a newer Go that
// a go.mod names.
func isMissing(out string) bool {
	return strings.Contains(out, "disabled by GOPROXY=off") || strings.Contains(out, "toolchain not available")
}

// No program waits by an empty select: without cgo, so without a C compiler, Go
// reports a deadlock as soon as no other goroutine runs.
func TestNoEmptySelect(t *testing.T) {
	files := 0
	eachFile(t, func(path string) {
		if filepath.Ext(path) != ".go" {
			return
		}
		files++
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, filepath.Join("../..", path), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectStmt); ok && len(s.Body.List) == 0 {
				t.Errorf("%v: an empty select: call testenv.UntilKilled to stay until a test kills the program", set.Position(s.Pos()))
			}
			return true
		})
	})
	if files < 100 {
		t.Errorf("the test read only %d files", files)
	}
}

// eachFile calls do with the path of every file of the repository, from the root.
func eachFile(t *testing.T, do func(path string)) {
	t.Helper()
	err := fs.WalkDir(os.DirFS("../.."), ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != "." && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case !entry.IsDir():
			do(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
