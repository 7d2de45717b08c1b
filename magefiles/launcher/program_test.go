package launcher

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// TestScript runs the scripts of testdata/script with the packaged program.
func TestScript(t *testing.T) {
	bin := filepath.Dir(compiled(t))
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+string(filepath.ListSeparator)+e.Getenv("PATH"))
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits},
	})
}

// exits CODE PROGRAM ARGS... wants exactly this code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := err.(*exec.ExitError); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("the exit code is %d, want %s", got, args[0])
	}
}

// compiled returns the path of the packaged program, which is compiled once.
func compiled(t *testing.T) string {
	t.Helper()
	compileOnce()
	if compileErr != nil {
		t.Fatal(compileErr)
	}
	return compiledPath
}

var (
	compiledPath string
	compileErr   error
	compileOnce  = sync.OnceFunc(func() {
		root, err := filepath.Abs("../..")
		if err != nil {
			panic(err)
		}
		compileErr = testenv.Compile(root, compiledPath, "-ldflags", "-X github.com/woolwichweb/hostenv-provider/magefiles/launcher.version=1.2.3-test")
	})
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "hostenv-launcher-")
	if err != nil {
		panic(err)
	}
	compiledPath = filepath.Join(dir, program)
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// TestPackaged: the program has the targets of the table, and no others.
func TestPackaged(t *testing.T) {
	list, err := exec.CommandContext(t.Context(), compiled(t), "-l").Output()
	if err != nil {
		t.Fatal(err)
	}
	_, names, _ := strings.Cut(string(list), "Targets:\n")
	for line := range strings.Lines(names) {
		if name := strings.Fields(line)[0]; find(table, name) == nil {
			t.Errorf("%s is packaged, and is not in the table", name)
		}
	}
	if got := strings.Count(names, "\n"); got != len(table) {
		t.Errorf("%d targets are packaged, and %d in the table", got, len(table))
	}
}

// TestKinds: every flag and argument that takes a value has a kind, and every
// kind is of one.
func TestKinds(t *testing.T) {
	used := map[string]bool{}
	for _, target := range append(table, own...) {
		for _, name := range target.Args {
			used[name] = true
		}
		for _, f := range target.Flags {
			used[f.Name] = used[f.Name] || f.Type != "bool"
		}
	}
	for name, takes := range used {
		if _, ok := kinds[name]; takes && !ok {
			t.Errorf("%s has no kind", name)
		}
	}
	for name := range kinds {
		if !used[name] {
			t.Errorf("%s has a kind, and is no flag or argument with a value", name)
		}
	}
}
