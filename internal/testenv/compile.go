package testenv

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A Program is one or more programs that are built for tests into a folder.
type Program struct {
	Name  string
	Build func(dir string) error
}

// programsEnv names the folder of [Prepare] for tests.
const programsEnv = "HOSTENV_TEST_PROGRAMS"

// Prepare builds programs once for all tests of a process, before the process
// enters namespaces without a network, where a build cannot fetch a module. Call
// remove to remove the programs.
func Prepare(programs ...Program) (remove func(), err error) {
	if len(programs) == 0 {
		return func() {}, nil
	}
	dir, err := os.MkdirTemp("", "hostenv-programs-")
	if err != nil {
		return nil, err
	}
	remove = func() { _ = os.RemoveAll(dir) }
	for _, p := range programs {
		at := filepath.Join(dir, p.Name)
		if err := errors.Join(os.Mkdir(at, 0o755), p.Build(at)); err != nil {
			remove()
			return nil, fmt.Errorf("build %s for the tests: %w", p.Name, err)
		}
	}
	return remove, errors.Join(os.Chmod(dir, 0o755), os.Setenv(programsEnv, dir))
}

// Built returns the folder that has a program: that of [Prepare], or a new folder,
// into which it builds the program, and which is removed after the test.
func Built(t testing.TB, p Program) string {
	t.Helper()
	if all := os.Getenv(programsEnv); all != "" {
		if dir := filepath.Join(all, p.Name); isDir(dir) {
			return dir
		}
	}
	dir := t.TempDir()
	if err := p.Build(dir); err != nil {
		t.Fatalf("build %s: %v", p.Name, err)
	}
	return dir
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// Targets is the program that Mage compiles from a provider's targets, with the
// repository at root.
func Targets(root string) Program {
	return Program{Name: "targets", Build: func(dir string) error {
		root, err := filepath.Abs(root)
		if err != nil {
			return err
		}
		return Compile(root, filepath.Join(dir, "hostenv-provider"))
	}}
}

// Compile makes Mage compile the program of a provider's targets from the
// repository at root. The magefile is in a new module, because Mage writes a file
// beside it while it compiles, and tests of several packages compile at once.
func Compile(root, program string, flags ...string) error {
	dir, err := os.MkdirTemp("", "hostenv-mage-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	const module = "github.com/woolwichweb/hostenv-provider"
	for from, to := range map[string]string{"magefiles/provider/magefile.go": "magefile.go", "go.sum": "go.sum", "go.mod": "go.mod"} {
		text, err := os.ReadFile(filepath.Join(root, from))
		if err != nil {
			return err
		}
		if to == "go.mod" {
			text = []byte(strings.Replace(string(text), "module "+module+"\n", "module provider.example\n", 1) +
				fmt.Sprintf("\nrequire %s v0.0.0\n\nreplace %[1]s => %q\n", module, root))
		}
		if err := os.WriteFile(filepath.Join(dir, to), text, 0o666); err != nil {
			return err
		}
	}
	mage := exec.Command("go", append([]string{"tool", "mage", "-d", dir, "-compile", program}, flags...)...)
	mage.Dir, mage.Env = dir, append(os.Environ(), "GOWORK=off")
	if out, err := mage.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", mage, err, out)
	}
	return nil
}
