package generated_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/generated"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@example"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// Commit names the commit, and says if state or plan differ from it.
func TestCommit(t *testing.T) {
	testenv.Need(t, "git")
	root := t.TempDir()
	folder := generated.Open(filepath.Join(root, "generated"))
	commit := func() string {
		commit, changed := folder.Commit(t.Context())
		if changed {
			commit += "-dirty"
		}
		return commit
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(folder.Path(), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(folder.File(name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write("plan.json", "1")
	if got := commit(); got != "" {
		t.Errorf("outside of git it is %q", got)
	}
	git(t, root, "init", "--quiet")
	if got := commit(); got != "" {
		t.Errorf("before the first commit it is %q", got)
	}
	git(t, root, "add", ".")
	git(t, root, "commit", "--quiet", "--message=plan")
	head := git(t, root, "rev-parse", "HEAD")
	write("other.json", "1")
	if got := commit(); got != head {
		t.Errorf("it is %q, want %s", got, head)
	}
	write("plan.json", "2")
	if got := commit(); got != head+"-dirty" {
		t.Errorf("with a new plan it is %q", got)
	}
	git(t, root, "checkout", "--", "generated/plan.json")
	write("state.json", "1")
	if got := commit(); got != head+"-dirty" {
		t.Errorf("with an untracked state it is %q", got)
	}
}

// A checkout of another user is refused by git; the error says what to do.
func TestOtherUsersCheckout(t *testing.T) {
	testenv.Need(t, "git")
	if os.Getuid() != 0 {
		t.Skip("only root can give a folder to another user")
	}
	root := t.TempDir()
	t.Setenv("HOME", t.TempDir())
	git(t, root, "init", "--quiet")
	for _, path := range []string{root, filepath.Join(root, ".git")} {
		if err := os.Chown(path, 4711, 4711); err != nil {
			t.Fatal(err)
		}
	}
	folder := generated.Open(filepath.Join(root, "generated"))
	err := folder.Locked(t.Context(), func() error {
		return folder.Save(t.Context(), generated.File{Name: generated.PlanFile, After: []byte("{}\n")})
	})
	if err == nil || !strings.Contains(err.Error(), "the repository of another user") || !strings.Contains(problem.Hint(err), "safe.directory") {
		t.Errorf("%v\n%s", err, problem.Hint(err))
	}
}

// A read whose context has ended does not take silence of git for "no conflict".
func TestStateEnded(t *testing.T) {
	testenv.Need(t, "git")
	folder := generated.Open(filepath.Join(t.TempDir(), "generated"))
	err := folder.Locked(t.Context(), func() error {
		return folder.Save(t.Context(), generated.File{Name: generated.StateFile, After: state.New().Encode()})
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := folder.State(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := folder.State(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
