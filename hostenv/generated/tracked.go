package generated

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Untracked returns a problem for each of these files of the folder that exists and that
// git does not know: Nix would not see the plan, and a clone would have neither. There
// is none outside of a git work tree.
func (f *Folder) Untracked(ctx context.Context, names ...string) error {
	if !exists(f.Path()) {
		return nil
	}
	g, _ := gitIn(ctx, f.Path())
	if g == nil {
		return nil
	}
	var errs problem.List
	for _, name := range g.listed(ctx, append([]string{"ls-files", "-z", "--others", "--"}, names...)...) {
		effect := "a clone would not have it"
		if name == PlanFile {
			effect = "Nix does not see it"
		}
		add := "git add --intent-to-add "
		if _, err := g.run(ctx, "check-ignore", "--quiet", "--", name); err == nil {
			add += "--force "
		}
		errs.Addf(f.File(name), "run `"+add+problem.Word(f.File(name))+"`", "is not known to git: %s", effect)
	}
	return errs.Err()
}

// Seen refuses a plan that git does not know, in the folder that the flake has by
// default: Nix would not see it.
func (f *Folder) Seen(ctx context.Context) error {
	if !f.found {
		return nil
	}
	return f.Untracked(ctx, PlanFile)
}

// maxUntracked is how many files a warning names.
const maxUntracked = 5

// UntrackedSources returns a problem if the flake in a folder has Nix files or a lock
// that git neither knows nor ignores: Nix does not see them, and reports only those that
// it looks for.
func UntrackedSources(ctx context.Context, root string) error {
	g, _ := gitIn(ctx, root)
	if g == nil {
		return nil
	}
	files := g.listed(ctx, "ls-files", "-z", "--others", "--exclude-standard", "--", "*.nix", "flake.lock")
	if len(files) == 0 {
		return nil
	}
	slices.Sort(files)
	for i, file := range files {
		files[i] = problem.Word(filepath.Join(root, file))
	}
	if more := len(files) - maxUntracked; more > 0 {
		return problem.New("", fmt.Sprintf("git does not know %s and %d more files, and Nix does not see them", strings.Join(files[:maxUntracked], ", "), more),
			"`git add --intent-to-add` them, or list them in .gitignore; `git status` shows all")
	}
	return problem.New("", "git does not know "+problem.Join(files)+", and Nix sees only what git knows",
		"run `git add --intent-to-add "+strings.Join(files, " ")+"`, or list in .gitignore what Nix is not to see")
}
