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

// Every go.mod is as `go mod tidy` makes it. No network is asked: `mage test` has
// fetched what that wants to know, where there was one.
func TestTidy(t *testing.T) {
	for dir, required := range map[string]bool{
		"../..":                             os.Getenv("HOSTENV_TEST_REQUIRE") != "",
		"../../hostenv/dnsgate/conformance": testenv.Required("unshare"),
		"../nixosnode/tools":                testenv.Required("nixos-nodes"),
	} {
		t.Run(dir, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "go", "mod", "tidy", "-diff")
			cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOPROXY=off", "GOFLAGS=", "GOWORK=off")
			out, err := cmd.CombinedOutput()
			switch {
			case err != nil && strings.Contains(string(out), "disabled by GOPROXY=off") && !required:
				t.Skip("left out, for modules are missing that mage test fetches")
			case err != nil:
				t.Errorf("go mod tidy changes something, or does not run: %v\n%s", err, out)
			}
		})
	}
	// There are no others, but the template's, which is for `go get` to fill.
	eachFile(t, func(path string) {
		if filepath.Base(path) == "go.mod" && path != "go.mod" && path != "hostenv/dnsgate/conformance/go.mod" && path != "internal/nixosnode/tools/go.mod" && path != "nix/template/provider/go.mod" {
			t.Errorf("%s is another module: hold it to be tidy here", path)
		}
	})
}

// No program waits by an empty select: where Go is without cgo, as it is without
// a C compiler, that is a deadlock as soon as nothing else goes on.
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
				t.Errorf("%v: an empty select; to stay until a test kills it there is testenv.UntilKilled", set.Position(s.Pos()))
			}
			return true
		})
	})
	if files < 100 {
		t.Errorf("only %d files were looked at", files)
	}
}

// eachFile calls do with every file of the repository, by its path from the root.
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
