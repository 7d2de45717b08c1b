package targets

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// addToGit tells git of new files, without staging what is in them: a flake
// sees the files that git knows, and no others. Outside of a git work tree, or
// without git, there is nothing to tell.
func addToGit(ctx context.Context, dir string, names ...string) error {
	git := func(args ...string) (string, error) {
		out, err := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...).CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	if inside, err := git("rev-parse", "--is-inside-work-tree"); err != nil || inside != "true" {
		return nil
	}
	if out, err := git(append([]string{"add", "--intent-to-add", "--"}, names...)...); err != nil {
		return hinted(fmt.Errorf("make the new files in %s known to git: %s", dir, out),
			"the files are written; a flake sees them once you ran `git add --intent-to-add` on them")
	}
	return nil
}
