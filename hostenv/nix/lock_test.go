package nix_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	hostnix "github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// repository makes a git repository with one commit for each branch, checks out
// the first, and returns the folder.
func repository(t *testing.T, branches ...string) string {
	t.Helper()
	testenv.Need(t, "git")
	dir := realTempDir(t)
	gitOutput(t, dir, "init", "--quiet", "--initial-branch", branches[0])
	for _, branch := range branches {
		gitOutput(t, dir, "checkout", "--quiet", "-B", branch)
		commit(t, dir, branch)
	}
	gitOutput(t, dir, "checkout", "--quiet", branches[0])
	return dir
}

func commit(t *testing.T, dir, content string) {
	t.Helper()
	write(t, dir, map[string]string{"content": content})
	gitOutput(t, dir, "add", ".")
	gitOutput(t, dir, "commit", "--quiet", "--message", content)
}

func git(dir, ref string) map[string]any {
	return map[string]any{"type": "git", "url": "file://" + dir, "ref": ref}
}

// LockSources locks each source to the commit that its ref has in git, and returns
// them in order. It ignores dir, and fetches equal sources once.
func TestLockSources(t *testing.T) {
	site := repository(t, "main", "feature/search", "release")
	portal := repository(t, "production")
	each(t, func(t *testing.T, n nix) {
		dir := realTempDir(t)
		write(t, dir, map[string]string{"provider/flake.nix": "", "near/file": "text"})
		runner := n.runner(filepath.Join(dir, "provider"))
		// Make the store first: it may be busy for one of two processes that make it,
		// which then tries its sources again, each alone and without progress.
		if _, err := runner.LockSources(t.Context(), []map[string]any{{"type": "path", "path": "../near"}}); err != nil {
			t.Fatal(err)
		}
		var events []hostnix.Event
		runner.Progress = func(e hostnix.Event) { events = append(events, e) }

		inFolder := git(site, "main")
		inFolder["dir"] = ".hostenv"
		inFolder["url"] = "file://" + site + "?dir=.hostenv" // as Nix 2.8 locks it
		sources := []map[string]any{
			git(site, "release"),
			git(portal, "production"),
			git(site, "feature/search"),
			git(site, "main"),
			inFolder,
			git(site, "refs/heads/release"),
			{"type": "path", "path": "../near"},
		}
		locked, err := runner.LockSources(t.Context(), sources)
		if err != nil {
			t.Fatal(err)
		}
		revision := func(dir, ref string) string { return gitOutput(t, dir, "rev-parse", ref) }
		want := []string{
			revision(site, "release"), revision(portal, "production"), revision(site, "feature/search"),
			revision(site, "main"), revision(site, "main"), revision(site, "release"), "",
		}
		var got []string
		for i, l := range locked {
			got = append(got, l.Rev)
			if !strings.HasPrefix(l.NarHash, "sha256-") || l.LastModified <= 0 {
				t.Errorf("source %d is locked to %+v", i, l)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("revs (-git +nix):\n%s", diff)
		}
		if seconds := gitOutput(t, site, "log", "-1", "--format=%ct", "release"); seconds != strconv.FormatInt(locked[0].LastModified, 10) {
			t.Errorf("lastModified %d, want %s", locked[0].LastModified, seconds)
		}

		var subjects []string
		for i, e := range events {
			subjects = append(subjects, e.Subject)
			if e.Phase != hostnix.Fetch || e.Number != i+1 || e.Total != 6 {
				t.Errorf("event %+v is not number %d of 6", e, i+1)
			}
		}
		slices.Sort(subjects)
		wantSubjects := []string{
			"git+file://" + portal + "?ref=production",
			"git+file://" + site + "?ref=feature/search",
			"git+file://" + site + "?ref=main",
			"git+file://" + site + "?ref=refs/heads/release",
			"git+file://" + site + "?ref=release",
			"path:" + dir + "/near",
		}
		slices.Sort(wantSubjects)
		if diff := cmp.Diff(wantSubjects, subjects); diff != "" {
			t.Errorf("progress (-want +got):\n%s", diff)
		}
		// The caller's sources do not change.
		if inFolder["dir"] != ".hostenv" {
			t.Errorf("the caller's source was changed: %v", inFolder)
		}
	})
}

// All versions of Nix lock a source to the same value: a plan of one is valid for the others.
func TestLocksAgree(t *testing.T) {
	site := repository(t, "main")
	answers := map[hostnix.Locked][]string{}
	each(t, func(t *testing.T, n nix) {
		locked, err := n.runner(t.TempDir()).LockSources(t.Context(), []map[string]any{git(site, "main")})
		if err != nil {
			t.Fatal(err)
		}
		agreement.Lock()
		defer agreement.Unlock()
		answers[locked[0]] = append(answers[locked[0]], n.binary)
		if len(answers) > 1 {
			t.Errorf("the versions of Nix disagree: %v", answers)
		}
	})
}

// A ref is locked to its present commit, not to a cached one. The repository is
// bare, as on a server, and the second commit follows at once after the first lock.
func TestLockIsFresh(t *testing.T) {
	each(t, func(t *testing.T, n nix) {
		work := repository(t, "main")
		bare := filepath.Join(realTempDir(t), "bare.git")
		gitOutput(t, work, "clone", "--quiet", "--bare", work, bare)
		runner := n.runner(t.TempDir())
		for range 3 {
			commit(t, work, time.Now().String())
			gitOutput(t, work, "push", "--quiet", "--force", bare, "main")
			locked, err := runner.LockSources(t.Context(), []map[string]any{git(bare, "main")})
			if err != nil {
				t.Fatal(err)
			}
			if want := gitOutput(t, work, "rev-parse", "main"); locked[0].Rev != want {
				t.Errorf("locked to %s, want %s", locked[0].Rev, want)
			}
		}
	})
}

// LockSources refuses a branch or repository that was deleted, for which Nix itself
// uses its cache, with a warning.
func TestLockIsNotFromMemory(t *testing.T) {
	each(t, func(t *testing.T, n nix) {
		work := repository(t, "main", "old")
		bare := filepath.Join(realTempDir(t), "bare.git")
		gitOutput(t, work, "clone", "--quiet", "--bare", work, bare)
		runner := n.runner(t.TempDir())
		sources := []map[string]any{git(bare, "main"), git(bare, "old")}
		if _, err := runner.LockSources(t.Context(), sources); err != nil {
			t.Fatal(err)
		}
		gitOutput(t, bare, "branch", "--delete", "--force", "old")
		locked, err := runner.LockSources(t.Context(), sources)
		if failed := problem.Leaves(err); len(failed) != 1 || !strings.Contains(failed[0].Error(), "?ref=old: ") {
			t.Errorf("a deleted branch: locked to %v, error %v", locked, err)
		}

		if err := os.Rename(bare, bare+".gone"); err != nil {
			t.Fatal(err)
		}
		locked, err = runner.LockSources(t.Context(), sources)
		if failed := problem.Leaves(err); len(failed) != 2 {
			t.Errorf("a deleted repository: locked to %v, error %v", locked, err)
		}
		t.Log(err)
	})
}

// The error names all sources that fail, in order, with git's message and a command
// to try, and without the secrets in their URLs.
func TestEveryBrokenSourceIsReported(t *testing.T) {
	site := repository(t, "main")
	dirty := repository(t, "main")
	write(t, dirty, map[string]string{"content": "changed"})
	each(t, func(t *testing.T, n nix) {
		root := realTempDir(t)
		sources := []map[string]any{
			git(site, "main"),
			git(site, "no-such-branch"),
			git(site+"-gone", "main"),
			{"type": "path", "path": "./nothing"},
			{"type": "git", "url": "https://user:hunter2@localhost:1/site.git", "ref": "main"},
			{"type": "git", "url": "https://hunter2@localhost:1/site.git?private_token=hunter2", "ref": "main"},
			{"type": "git", "url": "file://" + dirty},
			git(site, "main"),
		}
		_, err := n.runner(root).LockSources(t.Context(), sources)
		type failure struct{ Source, Advice string }
		ask := func(command string) string {
			return "does the ref exist, and is the repository reachable from here? ask `git ls-remote " + command + "`"
		}
		want := []failure{
			{"git+file://" + site + "?ref=no-such-branch", ask("file://" + site + " no-such-branch")},
			{"git+file://" + site + "-gone?ref=main", ask("file://" + site + "-gone main")},
			{"path:" + root + "/nothing", "does the folder " + root + "/nothing exist?"},
			{"git+https://localhost:1/site.git?ref=main", ask("https://localhost:1/site.git main")},
			{"git+https://localhost:1/site.git?private_token=...&ref=main", ask("https://localhost:1/site.git?private_token=... main")},
			{"git+file://" + dirty, ask("file://" + dirty)},
		}
		var got []failure
		for _, f := range problem.Leaves(err) {
			rest, _ := strings.CutPrefix(f.Error(), "lock ")
			source, message, _ := strings.Cut(rest, ": ")
			got = append(got, failure{source, problem.Hint(f)})
			if message == "" {
				t.Errorf("no message for %s", source)
			}
			t.Logf("%s", f)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("failures (-want +got):\n%s", diff)
		}
		if all := err.Error() + hints(err); strings.Contains(all, "hunter2") {
			t.Errorf("the error contains a credential:\n%s", all)
		}
		if !strings.Contains(err.Error(), "?ref=no-such-branch: the repository has no branch no-such-branch, but main") {
			t.Errorf("a mistyped branch: %v", err)
		}
		if !strings.HasSuffix(err.Error(), "working tree has changes") {
			t.Errorf("a working tree with changes: %v", err)
		}
	})
}

// An empty list needs no Nix, and an invalid source is refused before Nix runs.
func TestLockNothing(t *testing.T) {
	runner := &hostnix.Runner{Nix: "no-such-nix"}
	if locked, err := runner.LockSources(t.Context(), nil); err != nil || len(locked) != 0 {
		t.Errorf("no sources: %v, %v", locked, err)
	}
	for _, source := range []map[string]any{{}, {"type": 5}, {"type": "path"}} {
		if _, err := runner.LockSources(t.Context(), []map[string]any{source}); err == nil || !strings.Contains(err.Error(), "lock source 0") {
			t.Errorf("source %v: %v", source, err)
		}
	}
}

// Only the user can read the file with the list of sources, which is removed when
// nix ends.
func TestSourcesAreNotLeftBehind(t *testing.T) {
	temp := realTempDir(t)
	t.Setenv("TMPDIR", temp)
	fake := script(t, `
for last; do :; done
dir=$(dirname "$last")
ls -ld "$dir" "$dir"/* | cut -c1-10 > `+temp+`/modes
grep -c hunter2 "$dir/sources.json" >> `+temp+`/modes
echo "error: no such host" >&2
exit 1`)
	runner := &hostnix.Runner{Nix: fake}
	_, err := runner.LockSources(t.Context(), []map[string]any{{"type": "git", "url": "https://u:hunter2@localhost/x"}})
	if failed := errorsOf[*problem.Problem](err); len(failed) != 1 || failed[0].Text != "no such host" {
		t.Errorf("error %v", err)
	}
	if got, want := read(t, filepath.Join(temp, "modes")), "drwx------\n-rw-------\n-rw-------\n1\n"; got != want {
		t.Errorf("modes %q, want %q", got, want)
	}
	if left, err := filepath.Glob(filepath.Join(temp, "hostenv-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// A cancelled run soon kills nix and all its child processes, even if they ignore
// SIGTERM.
func TestCancelEndsEverything(t *testing.T) {
	dir := realTempDir(t)
	fake := script(t, `
trap '' TERM
(trap '' TERM; while :; do sleep 0.1; done) &
echo $! > `+dir+`/child.new
echo $$ > `+dir+`/parent
mv `+dir+`/child.new `+dir+`/child
while :; do sleep 0.1; done`)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := (&hostnix.Runner{Nix: fake, Dir: dir}).Inventory(ctx)
		done <- err
	}()
	var pids []int
	for _, name := range []string{"child", "parent"} {
		eventually(t, func() bool { _, err := os.Stat(filepath.Join(dir, name)); return err == nil }, name+" has not started")
		pid, err := strconv.Atoi(strings.TrimSpace(read(t, filepath.Join(dir, name))))
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want %v", err, context.Canceled)
		}
	case <-time.After(testenv.Patience):
		t.Fatal("the run does not end when it is cancelled")
	}
	for _, pid := range pids {
		eventually(t, func() bool { return gone(pid) }, fmt.Sprintf("process %d has not ended", pid))
	}
}

// gone reports whether a process has ended. A zombie has.
func gone(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return os.IsNotExist(err)
	}
	_, state, _ := strings.Cut(string(status), ") ")
	return strings.HasPrefix(state, "Z")
}

func eventually(t *testing.T, holds func() bool, otherwise string) {
	t.Helper()
	if !testenv.Poll(holds) {
		t.Fatal(otherwise)
	}
}

// script writes a program in place of nix, for what a real one does not do on
// demand.
func script(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nix")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// A nix that ends without a word, as one that the kernel kills, is reported by how it
// ended.
func TestLockOfSilentNix(t *testing.T) {
	for body, want := range map[string]string{"exit 7": "exit status 7", "kill -KILL $$": "killed"} {
		_, err := (&hostnix.Runner{Nix: script(t, body)}).LockSources(t.Context(), []map[string]any{git("/a", "main")})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", body, err, want)
		}
	}
}

// At most Jobs processes run at once, and no two fetch from one repository.
func TestProcessesAtOnce(t *testing.T) {
	dir := realTempDir(t)
	fake := script(t, `
for last; do :; done
sources=$(dirname "$last")/sources.json
mkdir `+dir+`/running.$$
ls -d `+dir+`/running.* | wc -l >> `+dir+`/counts
for repository in $(grep -o 'file:///[a-z0-9]*' "$sources" | sort -u | tr / _); do
  mkdir "`+dir+`/$repository" || echo "$repository" >> `+dir+`/twice
done
# The first ones wait until three run, for 30 seconds at most.
i=0; until [ -e `+dir+`/three ] || [ $i -ge 3000 ]; do
  [ "$(ls -d `+dir+`/running.* | wc -l)" -lt 3 ] || : > `+dir+`/three
  sleep 0.01; i=$((i+1))
done
: > `+dir+`/three
n=$(grep -o '"label"' "$sources" | wc -l)
[ "$n" -le 50 ] || echo "$n" >> `+dir+`/large
printf '['; i=1; while [ $i -le $n ]; do
  printf '{"rev":"1","narHash":"sha256-x","lastModified":1}'; [ $i -lt $n ] && printf ','; i=$((i+1))
done; printf ']'
for repository in $(grep -o 'file:///[a-z0-9]*' "$sources" | sort -u | tr / _); do
  rmdir "`+dir+`/$repository"
done
rmdir `+dir+`/running.$$`)
	var sources []map[string]any
	for i := range 260 {
		repository := i % 20
		if i >= 130 {
			repository = 99 // one with more sources than a process takes
		}
		sources = append(sources, git(fmt.Sprintf("/r%d", repository), fmt.Sprintf("branch-%d", i)))
	}
	locked, err := (&hostnix.Runner{Nix: fake, Jobs: 3}).LockSources(t.Context(), sources)
	if err != nil || len(locked) != len(sources) {
		t.Fatalf("%d locked: %v", len(locked), err)
	}
	for _, unwanted := range []string{"twice", "large"} {
		if text, err := os.ReadFile(filepath.Join(dir, unwanted)); err == nil {
			t.Errorf("%s: %s", unwanted, text)
		}
	}
	counts := strings.Fields(read(t, filepath.Join(dir, "counts")))
	if most := slices.Max(counts); most != "3" {
		t.Errorf("%s processes at once, want 3 (of %d)", most, len(counts))
	}
}
