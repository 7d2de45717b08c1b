package generated

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// git runs git in a folder.
type git struct {
	dir, program string
}

// gitIn returns nil without git, and outside of a git work tree. The text is what git
// printed if it cannot say, as for a work tree of another user.
func gitIn(ctx context.Context, dir string) (*git, string) {
	program, err := exec.LookPath("git")
	if err != nil {
		return nil, "" // without git there is no git work tree either
	}
	g := &git{dir, program}
	out, err := g.run(ctx, "rev-parse", "--is-inside-work-tree")
	switch {
	case err == nil && out == "true":
		return g, ""
	case err == nil, strings.Contains(out, "not a git repository"):
		return nil, ""
	}
	return nil, out
}

func (g *git) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, g.program, append([]string{"-C", g.dir}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	return cmd
}

// run returns what git prints, with its errors.
func (g *git) run(ctx context.Context, args ...string) (string, error) {
	out, err := g.command(ctx, args...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// listed returns the items of a command with -z.
func (g *git) listed(ctx context.Context, args ...string) []string {
	out, err := g.command(ctx, args...).Output()
	if err != nil || len(out) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

// addToGit makes new files known to git, without staging their content: a flake
// sees the files that git knows, and no others. Outside of a git work tree, or
// without git, it does nothing. Files that git knows stay as they are in its index,
// which may hold both sides of a merge.
func addToGit(ctx context.Context, dir string, names ...string) error {
	g, out := gitIn(ctx, dir)
	if g == nil && out == "" {
		return nil
	}
	var err error
	if g != nil {
		known := g.listed(ctx, append([]string{"ls-files", "-z", "--"}, names...)...)
		names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(known, name) })
		if len(names) == 0 {
			return nil
		}
		out, err = g.run(ctx, append([]string{"-c", "advice.addIgnoredFile=false", "add", "--intent-to-add", "--"}, names...)...)
	}
	if (g == nil || err != nil) && strings.Contains(out, "dubious ownership") {
		return problem.New("", fmt.Sprintf("make the new files in %s known to git, which refuses the repository of another user", dir),
			"run the command as the user that owns the repository; or, if you trust that user, `git config --global --add safe.directory FOLDER`")
	}
	if g == nil || err != nil {
		return problem.New("", fmt.Sprintf("make the new files in %s known to git: %s", dir, out),
			fmt.Sprintf("they are written, and a flake sees them after `git -C %s add --intent-to-add --force %s`", problem.Word(dir), strings.Join(names, " ")))
	}
	return nil
}

// Committed returns the text of a file of the folder as a commit has it, such as
// HEAD or origin/main, and nil if the commit has no such file.
func (f *Folder) Committed(ctx context.Context, commit, name string) ([]byte, error) {
	program, err := exec.LookPath("git")
	if err != nil {
		return nil, problem.New("git", "is not installed, and has the earlier files", "install git")
	}
	g := &git{f.Path(), program}
	out, err := g.command(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", commit+"^{commit}").Output()
	hash := strings.TrimSpace(string(out))
	if err != nil || hash == "" {
		return nil, problem.New("the commit "+commit, "is not in the repository of "+f.Path(), "name a commit that `git log` shows, or fetch it: git fetch origin "+problem.Word(commit))
	}
	listed, err := g.command(ctx, "ls-tree", "--name-only", hash, "--", name).Output()
	if err != nil || len(listed) == 0 {
		return nil, err
	}
	text, err := g.command(ctx, "cat-file", "blob", hash+":./"+name).Output()
	if err != nil {
		return nil, fmt.Errorf("read %s of %s: %w", f.File(name), commit, err)
	}
	return text, nil
}

// A Commit is a commit of the repository around the folder.
type Commit struct {
	Hash    string
	Date    string // of the commit, such as 2026-11-29
	Subject string
}

// Short returns the beginning of the hash, for people.
func (c Commit) Short() string { return c.Hash[:min(len(c.Hash), 9)] }

// maxCommits is how many commits Commits returns.
const maxCommits = 500

// Commits returns the commits of the branch that changed a file of the folder, the
// newest first, at most 500: of a merge the merge itself, not the commits of the other
// branch. If name is not "", it returns the one commit of that name.
func (f *Folder) Commits(ctx context.Context, file, name string) ([]Commit, error) {
	g, text := gitIn(ctx, f.Path())
	if g == nil {
		return nil, problem.New(f.Path(), "is in no work tree of git"+colon(text), "earlier plans are in git: commit generated/ after each plan")
	}
	args := []string{"rev-list", "--format=tformat:%H%x09%cs%x09%s"}
	if name != "" {
		args = append(args, "--max-count=1", "--end-of-options", name+"^{commit}", "--")
	} else {
		args = append(args, "--first-parent", fmt.Sprintf("--max-count=%d", maxCommits), "HEAD", "--", file)
	}
	out, err := g.command(ctx, args...).Output()
	if err != nil && name != "" {
		return nil, problem.New("the commit "+name, "is not in the repository of "+f.Path(), "name a commit that `git log` shows, or fetch it: git fetch origin "+problem.Word(name))
	}
	if err != nil { // no commit yet
		return nil, ctx.Err()
	}
	var commits []Commit
	for line := range strings.Lines(string(out)) {
		if fields := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 3); len(fields) == 3 {
			commits = append(commits, Commit{fields[0], fields[1], fields[2]})
		}
	}
	return commits, nil
}

// Commit returns the commit that is checked out around the folder, and whether the
// state and the plan differ from those in it. The commit is "" if git knows none:
// outside of a work tree, before the first commit, or without git.
func (f *Folder) Commit(ctx context.Context) (commit string, changed bool) {
	g, _ := gitIn(ctx, f.Path())
	if g == nil {
		return "", false
	}
	commit, err := g.run(ctx, "rev-parse", "--verify", "--quiet", "HEAD")
	if err != nil {
		return "", false
	}
	// An error is a difference: we do not know that they are equal.
	out, err := g.run(ctx, "status", "--porcelain", "--ignored", "--", StateFile, PlanFile)
	return commit, err != nil || out != ""
}

// restore returns a command that brings back a file of the folder as it was when it was
// last valid, "" if git has no such version.
func (f *Folder) restore(ctx context.Context, name string, valid func([]byte) bool) string {
	g, _ := gitIn(ctx, f.Path())
	if g == nil {
		return ""
	}
	revs, err := g.run(ctx, "rev-list", "--max-count=20", "HEAD", "--", name)
	if err != nil {
		return ""
	}
	for i, rev := range strings.Fields(revs) {
		text, err := g.command(ctx, "show", rev+":./"+name).Output()
		if err != nil || !valid(text) {
			continue
		}
		if i == 0 {
			rev = "HEAD"
		}
		return fmt.Sprintf("git checkout %.12s -- %s", rev, problem.Word(f.File(name)))
	}
	return ""
}

// published reports whether a commit is in the upstream branch of HEAD: other
// operators have it, and may have deployed it.
func (g *git) published(ctx context.Context, commit string) bool {
	_, err := g.run(ctx, "merge-base", "--is-ancestor", commit, "@{upstream}")
	return err == nil
}
