package generated

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// A deploy says from which commit it is, and whether that holds what it deployed.
func TestCommit(t *testing.T) {
	program := testenv.Need(t, "git")
	root := t.TempDir()
	t.Setenv("GIT_CEILING_DIRECTORIES", filepath.Dir(root))
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	dir := filepath.Join(root, Default)
	f := Open(dir)
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, append([]string{"-C", root, "-c", "user.name=n", "-c", "user.email=e@example.org"}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f.File(name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	check := func(reason, want string, changed bool) {
		t.Helper()
		if got, differs := f.Commit(t.Context()); got != want || differs != changed {
			t.Errorf("%s: %q, changed %v; want %q, %v", reason, got, differs, want, changed)
		}
	}
	check("no folder", "", false)
	write(StateFile, "{}")
	write(PlanFile, "{}")
	check("no work tree", "", false)
	run("init", "--quiet")
	check("no commit", "", false)
	run("commit", "--quiet", "--allow-empty", "--message=first")
	check("the plan is not in it", run("rev-parse", "HEAD"), true)
	write(".gitignore", PlanFile+"\n")
	run("add", Default+"/.gitignore", Default+"/"+StateFile)
	run("commit", "--quiet", "--message=second")
	check("the plan is ignored", run("rev-parse", "HEAD"), true)
	run("add", "--force", Default)
	run("commit", "--quiet", "--message=third")
	check("as committed", run("rev-parse", "HEAD"), false)
	if err := os.WriteFile(filepath.Join(root, "flake.nix"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	check("another file is new", run("rev-parse", "HEAD"), false)
	write(StateFile, `{"a":1}`)
	check("the state is another", run("rev-parse", "HEAD"), true)
}
