package examples

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A branch of a repository that is made, with one commit of its own.
type branch struct {
	name  string
	files map[string]string // by path
}

// Author and time are constant, so that the same content has the same commits.
const committer = "Example <example@hosting.example> 1767225600 +0000"

// makeRepository makes a git repository with its first branch checked out; the
// others begin there.
func makeRepository(ctx context.Context, dir string, branches []branch) error {
	if err := os.Mkdir(dir, 0o777); err != nil {
		return err
	}
	if err := git(ctx, dir, nil, "init", "--quiet", "--initial-branch", branches[0].name); err != nil {
		return err
	}
	// One process, however many branches: a large example has hundreds.
	if err := git(ctx, dir, stream(branches), "fast-import", "--quiet"); err != nil {
		return err
	}
	return git(ctx, dir, nil, "reset", "--quiet", "--hard")
}

// stream writes branches as git fast-import reads them.
func stream(branches []branch) io.Reader {
	var b bytes.Buffer
	text := func(content string) { fmt.Fprintf(&b, "data %d\n%s\n", len(content), content) }
	for i, branch := range branches {
		fmt.Fprintf(&b, "commit refs/heads/%s\ncommitter %s\n", branch.name, committer)
		text("example: " + branch.name)
		if i > 0 {
			fmt.Fprintf(&b, "from refs/heads/%s\n", branches[0].name)
		}
		for _, path := range slices.Sorted(maps.Keys(branch.files)) {
			content := branch.files[path]
			if i > 0 && branches[0].files[path] == content {
				continue
			}
			fmt.Fprintf(&b, "M 100644 inline %s\n", path)
			text(content)
		}
	}
	return &b
}

// git runs git without the user's configuration, which may sign commits or refuse
// their author.
func git(ctx context.Context, dir string, stdin io.Reader, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Stdin = stdin
	name, rest, _ := strings.Cut(committer, " <")
	email, date, _ := strings.Cut(rest, "> ")
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "GIT_") }),
		"GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull,
		"GIT_AUTHOR_NAME="+name, "GIT_AUTHOR_EMAIL="+email, "GIT_AUTHOR_DATE="+date,
		"GIT_COMMITTER_NAME="+name, "GIT_COMMITTER_EMAIL="+email, "GIT_COMMITTER_DATE="+date,
	)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s in %s: %w\n%s", args[0], filepath.Base(dir), err, bytes.TrimSpace(out))
	}
	return nil
}
