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
		cmd := exec.CommandContext(ctx, program, append([]string{"-C", dir}, args...)...)
		cmd.Env = append(os.Environ(), "LC_ALL=C")
		out, err := cmd.CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	out, err := git("rev-parse", "--is-inside-work-tree")
	if err == nil && out != "true" || strings.Contains(out, "not a git repository") {
		return nil
	}
	if err == nil {
		out, err = git(append([]string{"-c", "advice.addIgnoredFile=false", "add", "--intent-to-add", "--"}, names...)...)
	}
	if err != nil {
		return problem.New("", fmt.Sprintf("make the new files in %s known to git: %s", dir, out),
			fmt.Sprintf("they are written, and a flake sees them after `git -C %s add --intent-to-add --force %s`", problem.Word(dir), strings.Join(names, " ")))
	}
	return nil
}
