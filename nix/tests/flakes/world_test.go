package flakes

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

const fixtures = "../call-flake"

// A world is a folder of git repositories, and one Nix with a store of its own.
type world struct {
	testing.TB
	nix, version string
	dir          string
	env          []string
	library      string // a Nix `let` that binds callFlake and describe
	cpu          time.Duration
}

// underEachNix runs a test once under each installed Nix.
func underEachNix(t *testing.T, test func(*world)) {
	for _, nix := range testenv.NixBinaries(t) {
		w := newWorld(t, nix)
		t.Run("nix-"+w.version, func(t *testing.T) {
			w.TB = t
			test(w)
		})
	}
}

func newWorld(t testing.TB, nix string) *world {
	t.Helper()
	testenv.Need(t, "git")
	w := &world{TB: t, dir: t.TempDir()}
	// Folders of a store are read-only, and t.TempDir cannot remove them.
	t.Cleanup(func() {
		_ = filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				_ = os.Chmod(path, 0o700)
			}
			return nil
		})
	})
	w.library = "let callFlake = (" + read(t, "../../lib/call-flake.nix") + "); describe = (" + read(t, fixtures+"/describe.nix") + "); in "
	return w.under(nix)
}

// under returns the same folder with another Nix and a new store.
func (w world) under(nix string) *world {
	w.Helper()
	own, err := os.MkdirTemp(w.dir, "nix-")
	if err != nil {
		w.Fatal(err)
	}
	w.nix = nix
	w.env = append(testenv.NixEnv(own),
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_AUTHOR_DATE=1700000000 +0000",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org", "GIT_COMMITTER_DATE=1700000000 +0000",
	)
	w.version = strings.TrimSpace(w.mustRun(nix, "eval", "--raw", "--expr", "builtins.nixVersion"))
	return &w
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (w *world) run(in string, args ...string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = in, w.env, &out, &errs
	err = cmd.Run()
	w.cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return out.String(), errs.String(), err
}

func (w *world) mustRun(args ...string) string {
	w.Helper()
	stdout, stderr, err := w.run(w.dir, args...)
	if err != nil {
		w.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, stderr)
	}
	return stdout
}

func (w *world) path(repo string) string { return filepath.Join(w.dir, "repos", repo) }

func (w *world) git(repo string, args ...string) string {
	w.Helper()
	return strings.TrimSpace(w.mustRun(append([]string{"git", "-C", w.path(repo)}, args...)...))
}

// repo commits files, by path, to a repository. It creates the repository if needed.
func (w *world) repo(name string, files map[string]string) {
	w.Helper()
	if _, err := os.Stat(w.path(name)); err != nil {
		if err := os.MkdirAll(w.path(name), 0o755); err != nil {
			w.Fatal(err)
		}
		w.git(name, "init", "-q", "-b", "main")
	}
	for file, text := range files {
		file = filepath.Join(w.path(name), file)
		text = strings.ReplaceAll(text, "@repos@", w.path(""))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			w.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			w.Fatal(err)
		}
	}
	w.git(name, "add", "-A")
	w.git(name, "commit", "-q", "-m", "x")
}

// fixture makes repositories from folders of nix/tests.
func (w *world) fixture(names ...string) {
	w.Helper()
	for _, name := range names {
		w.fixtureAs(name, name)
	}
}

func (w *world) fixtureAs(name, repo string) {
	w.Helper()
	files := map[string]string{}
	root := filepath.Join(fixtures, name)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(root, path)
			files[rel] = read(w, path)
		}
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	w.repo(repo, files)
}

// lock commits the flake.lock that this Nix makes, and reports whether Nix could.
func (w *world) lock(repo, dir string) error {
	w.Helper()
	in := filepath.Join(w.path(repo), dir)
	if _, stderr, err := w.run(in, w.nix, "flake", "lock"); err != nil {
		return fmt.Errorf("nix flake lock in %s: %w\n%s", repo, err, stderr)
	}
	if _, err := os.Stat(filepath.Join(in, "flake.lock")); err == nil && w.git(repo, "status", "--porcelain") != "" {
		w.repo(repo, nil)
	}
	return nil
}

func (w *world) mustLock(repo, dir string) {
	w.Helper()
	if err := w.lock(repo, dir); err != nil {
		w.Fatal(err)
	}
}

// ref returns the flake reference of a repository at its present commit.
func (w *world) ref(repo, dir string) string {
	ref := "git+file://" + w.path(repo) + "?ref=main&rev=" + w.git(repo, "rev-parse", "HEAD")
	if dir != "" {
		ref += "&dir=" + dir
	}
	return ref
}

// source returns the same as a Nix expression, in the form of a plan: the locked
// arguments of fetchTree.
func (w *world) source(repo, dir string) string {
	w.Helper()
	var locked struct {
		NarHash      string
		LastModified int
	}
	unlocked := fmt.Sprintf(`type = "git"; url = "file://%s"; ref = "main"; rev = "%s";`, w.path(repo), w.git(repo, "rev-parse", "HEAD"))
	out := w.mustRun(w.nix, "eval", "--impure", "--json", "--expr",
		"with builtins.fetchTree { "+unlocked+" }; { inherit narHash lastModified; }")
	if err := json.Unmarshal([]byte(out), &locked); err != nil {
		w.Fatal(err)
	}
	if dir != "" {
		unlocked += fmt.Sprintf(" dir = %q;", dir)
	}
	return fmt.Sprintf("{ %s narHash = %q; lastModified = %d; }", unlocked, locked.NarHash, locked.LastModified)
}

// call returns the Nix expression that evaluates a repository by callFlake.
func (w *world) call(repo, dir, overrides string) string {
	w.Helper()
	return fmt.Sprintf(`(callFlake { subject = "environment 'shop-main'"; source = %s; overrides = %s; })`, w.source(repo, dir), overrides)
}

// eval evaluates an expression in pure mode, and returns indented JSON.
func (w *world) eval(expr string) string {
	w.Helper()
	text, err := w.tryEval(expr)
	if err != nil {
		w.Fatalf("%s: %v", expr, err)
	}
	return text
}

// tryEval is eval, but returns Nix's standard error as an error if the evaluation
// fails or needs a changed lock.
func (w *world) tryEval(expr string) (string, error) {
	w.Helper()
	stdout, stderr, err := w.run(w.dir, w.nix, "eval", "--no-eval-cache", "--json", "--expr", w.library+expr)
	if err != nil || strings.Contains(stderr, "modified lock file") {
		return "", fmt.Errorf("nix %s: %s", w.version, stderr)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(strings.TrimSpace(stdout)), "", " "); err != nil {
		w.Fatal(err)
	}
	return indented.String(), nil
}

// evalError evaluates an expression that must fail, and returns the error.
func (w *world) evalError(expr string) string {
	w.Helper()
	text, err := w.tryEval(expr)
	if err == nil {
		w.Fatalf("no error, but %s", text)
	}
	return err.Error()
}

// older reports whether the running Nix is older than version.
func (w *world) older(version string) bool {
	return w.eval(fmt.Sprintf("builtins.compareVersions builtins.nixVersion %q", version)) == "-1"
}

func equal(t testing.TB, what, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	t.Errorf("%s:\n%s", what, diff(want, got))
}

// squeeze returns JSON on one line without spaces.
func squeeze(text string) string { return strings.Join(strings.Fields(text), "") }

// diff returns the lines in which two texts of the same shape differ.
func diff(want, got string) string {
	a, b := strings.Split(strings.TrimSpace(want), "\n"), strings.Split(strings.TrimSpace(got), "\n")
	var out strings.Builder
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(a):
			fmt.Fprintf(&out, "+%s\n", b[i])
		case i >= len(b):
			fmt.Fprintf(&out, "-%s\n", a[i])
		case a[i] != b[i]:
			fmt.Fprintf(&out, "-%s\n+%s\n", a[i], b[i])
		}
	}
	return out.String()
}
