package generated

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// addToGit makes new files known to git, without staging their content: a flake
// sees the files that git knows, and no others. Outside of a git work tree, or
// without git, it does nothing.
func addToGit(ctx context.Context, dir string, names ...string) error {
	program, err := exec.LookPath("git")
	if err != nil {
		return nil //nolint:nilerr // without git there is no git work tree either
	}
	git := func(args ...string) (string, error) {
		out, err := gitIn(ctx, program, dir, args...).CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	out, err := git("rev-parse", "--is-inside-work-tree")
	if err == nil && out != "true" || strings.Contains(out, "not a git repository") {
		return nil
	}
	if err == nil {
		out, err = git(append([]string{"-c", "advice.addIgnoredFile=false", "add", "--intent-to-add", "--"}, names...)...)
	}
	if err != nil && strings.Contains(out, "dubious ownership") {
		return problem.New("", fmt.Sprintf("make the new files in %s known to git, which refuses the repository of another user", dir),
			"run the command as the user that owns the repository; or, if you trust that user, `git config --global --add safe.directory FOLDER`")
	}
	if err != nil {
		return problem.New("", fmt.Sprintf("make the new files in %s known to git: %s", dir, out),
			fmt.Sprintf("they are written, and a flake sees them after `git -C %s add --intent-to-add --force %s`", problem.Word(dir), strings.Join(names, " ")))
	}
	return nil
}

func gitIn(ctx context.Context, program, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, append([]string{"-C", dir}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	return cmd
}

// Committed returns the text of a file of the folder as a commit has it, such as
// HEAD or origin/main, and nil if the commit has no such file.
func (f *Folder) Committed(ctx context.Context, commit, name string) ([]byte, error) {
	program, err := exec.LookPath("git")
	if err != nil {
		return nil, problem.New("git", "is not installed, and has the earlier files", "install git")
	}
	out, err := gitIn(ctx, program, f.Path(), "rev-parse", "--verify", "--quiet", "--end-of-options", commit+"^{commit}").Output()
	hash := strings.TrimSpace(string(out))
	if err != nil || hash == "" {
		return nil, problem.New("the commit "+commit, "is not in the repository of "+f.Path(), "name a commit that `git log` shows, or fetch it: git fetch origin "+problem.Word(commit))
	}
	listed, err := gitIn(ctx, program, f.Path(), "ls-tree", "--name-only", hash, "--", name).Output()
	if err != nil || len(listed) == 0 {
		return nil, err
	}
	text, err := gitIn(ctx, program, f.Path(), "cat-file", "blob", hash+":./"+name).Output()
	if err != nil {
		return nil, fmt.Errorf("read %s of %s: %w", f.File(name), commit, err)
	}
	return text, nil
}

// Commit returns the commit that is checked out, with "-dirty" if it has another state
// or plan, and "" outside of git.
func (f *Folder) Commit(ctx context.Context) string {
	git := func(args ...string) (string, error) {
		out, err := exec.CommandContext(ctx, "git", append([]string{"--no-optional-locks", "-C", f.Path()}, args...)...).Output()
		return strings.TrimSpace(string(out)), err
	}
	commit, err := git("rev-parse", "--verify", "--quiet", "HEAD")
	if err != nil {
		return ""
	}
	if changed, err := git("status", "--porcelain", "--", StateFile, PlanFile); err != nil || changed != "" {
		commit += "-dirty"
	}
	return commit
}
