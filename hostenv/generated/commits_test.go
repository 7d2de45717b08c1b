package generated

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// The commits with a plan are those of the branch itself: of a merge, the merge.
func TestCommits(t *testing.T) {
	program := testenv.Need(t, "git")
	root := t.TempDir()
	t.Setenv("GIT_CEILING_DIRECTORIES", filepath.Dir(root))
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	f := Open(filepath.Join(root, Default))
	run := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, append([]string{"-C", root, "-c", "user.name=n", "-c", "user.email=e@example.org"}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_COMMITTER_DATE=2026-11-28T12:00:00Z")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
	}
	commit := func(file, subject string) {
		t.Helper()
		if err := os.WriteFile(f.File(file), []byte(subject), 0o666); err != nil {
			t.Fatal(err)
		}
		run("add", ".")
		run("commit", "--quiet", "--message="+subject)
	}
	subjects := func(name string) string {
		t.Helper()
		commits, err := f.Commits(t.Context(), PlanFile, name)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, c := range commits {
			if c.Date != "2026-11-28" || len(c.Hash) != 40 || c.Short() != c.Hash[:9] {
				t.Errorf("a commit is %+v", c)
			}
			all = append(all, c.Subject)
		}
		return strings.Join(all, ", ")
	}
	refused := func(name, want string) {
		t.Helper()
		if _, err := f.Commits(t.Context(), PlanFile, name); err == nil || !strings.Contains(err.Error(), want) || problem.Hint(err) == "" {
			t.Errorf("%q: %v; hint: %s", name, err, problem.Hint(err))
		}
	}
	if err := os.MkdirAll(f.Path(), 0o777); err != nil {
		t.Fatal(err)
	}
	refused("", "is in no work tree of git")
	run("init", "--quiet", "--initial-branch=main")
	if got := subjects(""); got != "" {
		t.Errorf("before the first commit there are %s", got)
	}
	commit(PlanFile, "one")
	commit(StateFile, "state")
	commit(PlanFile, "two\ttabs")
	run("branch", "other")
	commit(PlanFile, "three")
	run("checkout", "--quiet", "other")
	commit("another", "elsewhere")
	commit(PlanFile, "branch")
	run("checkout", "--quiet", "main")
	run("merge", "--quiet", "--no-edit", "--strategy-option=theirs", "--message=merge", "other")
	if got := subjects(""); got != "merge, three, two\ttabs, one" {
		t.Errorf("the branch has %s", got)
	}
	if got := subjects("other"); got != "branch" {
		t.Errorf("the commit of a name is %s", got)
	}
	if got := subjects("HEAD~2"); got != "two\ttabs" {
		t.Errorf("the commit of a name is %s", got)
	}
	refused("nowhere", "the commit nowhere is not in the repository")
	refused("--all", "the commit --all is not in the repository")
}
