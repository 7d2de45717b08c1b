package nix

import (
	"context"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

const (
	branchesPatience = 10 * time.Second
	branchesShown    = 10
)

// missingRef says which branches a git repository has, if it does not have the ref of a
// source, and "" otherwise. Nix's own words differ between versions. Names of branches
// are the customer's text, so they stand in the message and not in the hint.
func (r *Runner) missingRef(ctx context.Context, s *source) string {
	ref := s.text("ref")
	if s.text("type") != "git" || ref == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, branchesPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", "ls-remote", "--", s.text("url"))
	cmd.Env = slices.Concat(r.environment(), []string{"LC_ALL=C", "GIT_TERMINAL_PROMPT=0", "GIT_ALLOW_PROTOCOL=file:git:http:https:ssh"})
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	var names []string
	for line := range strings.Lines(string(out)) {
		_, full, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if slices.Contains([]string{ref, "refs/heads/" + ref, "refs/tags/" + ref, "refs/" + ref}, full) {
			return ""
		}
		if name, ok := strings.CutPrefix(full, "refs/heads/"); ok {
			names = append(names, problem.Line(name))
		}
	}
	if len(names) == 0 {
		return "the repository has no branch at all"
	}
	slices.Sort(names)
	text := strings.Join(names[:min(len(names), branchesShown)], ", ")
	if len(names) > branchesShown {
		text += " and others"
	}
	return "the repository has no branch " + problem.Line(ref) + ", but " + text
}
