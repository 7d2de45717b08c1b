package history_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/review"
	"github.com/woolwichweb/hostenv-provider/hostenv/review/history"
)

// customer is a repository with a commit for each subject; its hashes are by subject.
type customer struct {
	t   *testing.T
	dir string
}

func (c customer) git(args ...string) string {
	c.t.Helper()
	cmd := exec.Command("git", append([]string{"-C", c.dir, "-c", "user.name=c", "-c", "user.email=c@acme.test"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (c customer) commit(subject string) string {
	c.git("commit", "--quiet", "--allow-empty", "--allow-empty-message", "--message="+subject)
	return c.git("rev-parse", "HEAD")
}

func newCustomer(t *testing.T) customer {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	c := customer{t, t.TempDir()}
	c.git("init", "--quiet")
	return c
}

func (c customer) between(from, to string) (review.Commits, bool) {
	pair := review.Pair{Kind: "git", URL: "file://" + c.dir, From: from, To: to}
	commits, ok := history.Commits(c.t.Context(), []review.Pair{pair})[pair]
	return commits, ok
}

func TestLocal(t *testing.T) {
	c := newCustomer(t)
	first := c.commit("one")
	c.commit("")
	third := c.commit("three\u202e <b>")
	c.git("checkout", "--quiet", "-b", "other", first)
	fork := c.commit("four")
	for _, tt := range []struct {
		reason, from, to string
		want             review.Commits
	}{
		{"later commits, newest first", first, third, review.Commits{Number: 2, Subjects: []string{"three\u202e <b>", ""}}},
		{"back to an earlier one", third, first, review.Commits{Dropped: 2}},
		{"a branch that was pushed by force", third, fork, review.Commits{Number: 1, Dropped: 2, Subjects: []string{"four"}}},
		{"an earlier commit that is gone", strings.Repeat("a", 40), fork, review.Commits{Subjects: []string{"four"}}},
	} {
		got, ok := c.between(tt.from, tt.to)
		if diff := cmp.Diff(tt.want, got); !ok || diff != "" {
			t.Errorf("%s: found %v (-want +got):\n%s", tt.reason, ok, diff)
		}
	}
	for _, to := range []string{strings.Repeat("b", 40), "HEAD", "--output=" + filepath.Join(c.dir, "x"), ""} {
		if got, ok := c.between(first, to); ok {
			t.Errorf("commits up to %q: %v", to, got)
		}
	}
}

func TestMany(t *testing.T) {
	c := newCustomer(t)
	first := c.commit("first")
	var script strings.Builder
	for i := range 1200 {
		fmt.Fprintf(&script, "commit refs/heads/many\ncommitter c <c@acme.test> %d +0000\ndata <<E\nn%d\nE\n", 1700000000+i, i)
		if i == 0 {
			fmt.Fprintf(&script, "from %s\n", first)
		}
		script.WriteString("\n")
	}
	cmd := exec.Command("git", "-C", c.dir, "fast-import", "--quiet")
	cmd.Stdin = strings.NewReader(script.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got, ok := c.between(first, c.git("rev-parse", "many"))
	if !ok || got.Number != 1000 || !got.More || len(got.Subjects) != review.MaxSubjects || got.Subjects[0] != "n1199" {
		t.Errorf("found %v: %+v", ok, got)
	}
}

// Nix's clone of a repository elsewhere is in its cache, by the hash of the address.
// It is often shallow: then the number of commits is not known.
func TestCache(t *testing.T) {
	c := newCustomer(t)
	first, second := c.commit("one"), c.commit("two")
	const address = "ssh://git@git.acme.test/site.git"
	cache := filepath.Join(os.Getenv("XDG_CACHE_HOME"), "nix", "gitv3")
	if err := os.MkdirAll(cache, 0o777); err != nil {
		t.Fatal(err)
	}
	// What `nix hash convert --to nix32` prints for the SHA-256 of the address.
	name := nix32(sha256.Sum256([]byte(address)))
	pair := review.Pair{Kind: "git", URL: address, From: first, To: second}
	find := func() (review.Commits, bool) {
		commits, ok := history.Commits(t.Context(), []review.Pair{pair})[pair]
		return commits, ok
	}
	if got, ok := find(); ok {
		t.Errorf("without a clone: %v", got)
	}
	c.git("clone", "--quiet", "--bare", "--depth=1", "file://"+c.dir, filepath.Join(cache, name+"-shallow"))
	if got, ok := find(); !ok || cmp.Diff(review.Commits{Subjects: []string{"two"}}, got) != "" {
		t.Errorf("of a shallow clone, found %v: %+v", ok, got)
	}
	c.git("clone", "--quiet", "--bare", c.dir, filepath.Join(cache, name))
	if got, ok := find(); !ok || got.Number != 1 {
		t.Errorf("of a whole clone, found %v: %+v", ok, got)
	}
}

// nix32 does with numbers what Nix does with bits: the least digit is last.
func nix32(sum [32]byte) string {
	const digits = "0123456789abcdfghijklmnpqrsvwxyz"
	bits := make([]byte, 0, 260)
	for _, b := range sum {
		for i := range 8 {
			bits = append(bits, b>>i&1)
		}
	}
	bits = append(bits, 0, 0, 0, 0)
	var text []byte
	for five := range slices.Chunk(bits, 5) {
		n := 0
		for i, bit := range five {
			n |= int(bit) << i
		}
		text = append(text, digits[n])
	}
	slices.Reverse(text)
	return string(text)
}

// A partial clone asks no server, and a git that hangs holds up no plan.
func TestBounded(t *testing.T) {
	c := newCustomer(t)
	first, second := c.commit("one"), c.commit("two")
	asked := filepath.Join(t.TempDir(), "asked")
	c.git("config", "remote.origin.url", "ext::touch "+asked)
	c.git("config", "remote.origin.promisor", "true")
	c.git("config", "extensions.partialClone", "origin")
	c.git("config", "protocol.ext.allow", "always")
	if got, ok := c.between(strings.Repeat("a", 40), strings.Repeat("b", 40)); ok {
		t.Errorf("of commits that are not here: %v", got)
	}
	if _, err := os.Stat(asked); err == nil {
		t.Error("a server was asked")
	}

	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "git"), []byte("#!/bin/sh\nsleep 1000 & wait\n"), 0o777); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	done := make(chan int)
	go func() {
		done <- len(history.Commits(ctx, []review.Pair{{Kind: "git", URL: c.dir, From: first, To: second}}))
	}()
	select {
	case n := <-done:
		if n != 0 {
			t.Errorf("%d answers", n)
		}
	case <-time.After(2 * time.Minute):
		t.Error("it waits for git")
	}
}
