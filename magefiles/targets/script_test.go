package targets_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, programs)
}

// programs has the programs on the PATH of scripts beside the one under test.
var programs = map[string]func(){"holdlock": holdLock, "internet": runInternet}

var update = flag.Bool("update", false, "rewrite the expected outputs in the scripts, and those that docs/ shows")

// TestScript runs the scripts of testdata/script, which use the commands of
// testscript, of commands_test.go and of internet_test.go.
func TestScript(t *testing.T) {
	bin := compile(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Values[scriptT{}] = e.T()
			e.Setenv("PATH", bin+string(filepath.ListSeparator)+e.Getenv("PATH"))
			e.Setenv("bin", bin)
			e.Setenv("golden", filepath.Join(root(t), "golden"))
			// git must not use a work tree around the temporary folder.
			e.Setenv("GIT_CEILING_DIRECTORIES", filepath.Dir(e.WorkDir))
			e.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
			e.Setenv("GIT_CONFIG_SYSTEM", os.DevNull)
			e.Setenv("TERM", "xterm")
			e.Setenv("NO_COLOR", "")
			// A provider has a flake. A script that evaluates it has its own.
			if path := filepath.Join(e.WorkDir, "flake.nix"); !there(path) {
				if err := os.WriteFile(path, []byte("{ outputs = _: { }; }\n"), 0o666); err != nil {
					return err
				}
			}
			settle() // before the script runs programs that were just written
			return nil
		},
		Condition: condition,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"await":     await,
			"example":   example,
			"exits":     exits,
			"get":       get,
			"inventory": inventory,
			"need":      need,
			"nonsense":  nonsense,
			"online":    online,
			"projects":  projects,
			"shown":     shown,
			"stat":      stat,
		},
	})
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// settle waits until every process that another script is starting has called
// exec. Until then it holds the files that were open at its fork, and Linux
// refuses to run a program that is open for writing.
func settle() {
	syscall.ForkLock.Lock()
	defer syscall.ForkLock.Unlock()
}

// compile makes the program under test: the binary that Mage compiles from a
// provider's magefile, in a module of the provider's own.
func compile(t *testing.T) (bin string) {
	t.Helper()
	provider, bin := t.TempDir(), t.TempDir()
	copied := func(from, to string, edit func(string) string) {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(provider, to)), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(provider, to), []byte(edit(string(text))), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	const module = "github.com/woolwichweb/hostenv-provider"
	same := func(s string) string { return s }
	copied("testdata/provider/magefile.go", "magefiles/magefile.go", same)
	copied(filepath.Join(root(t), "go.sum"), "go.sum", same)
	copied(filepath.Join(root(t), "go.mod"), "go.mod", func(mod string) string {
		return strings.Replace(mod, "module "+module+"\n", "module provider.example\n", 1) +
			fmt.Sprintf("\nrequire %s v0.0.0\n\nreplace %[1]s => %q\n", module, root(t))
	})
	mage := exec.Command("go", "tool", "mage", "-d", provider, "-compile", filepath.Join(bin, "hostenv-provider"))
	mage.Env = append(os.Environ(), "GOWORK=off")
	if out, err := mage.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", mage, err, out)
	}
	return bin
}

// root returns the root of the repository.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
