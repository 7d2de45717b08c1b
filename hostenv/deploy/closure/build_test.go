package closure_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

const builds = `
  system = profile "root" "${sh "system-1.0" "echo ${library} > $out"}";
  site = profile "site" "${sh "site-1.0" "echo ${library} site > $out"}";
  shop = profile "shop" "${sh "shop-1.0" "cat ${sh "broken-2.0" "echo the library is on fire >&2; exit 7"} > $out"}";
  blog = profile "blog" "${sh "blog-1.0" "echo the blog is too long >&2; exit 8"}";
  other = profile "other" "${derivation { name = "other"; system = "other-none"; builder = "/bin/sh"; }}";
  slow = profile "slow" "${sh "slow" "echo begun >&2; while :; do read -t 60 _ < /dev/zero; done"}";
`

func testBuild(t *testing.T, l *lab) {
	t.Helper()
	n := l.evaluated("system", "site", "shop", "blog", "other")
	var log bytes.Buffer
	failed, err := l.build(n, &log)
	if err != nil || len(failed) != 3 {
		t.Fatalf("got %v, %v\n%s", failed, err, log.String())
	}
	for _, c := range []struct{ profile, message, not string }{
		{"shop", "the library is on fire", "too long"},
		{"blog", "the blog is too long", "on fire"},
		{"other", "other-none", "on fire"},
	} {
		if err := failed["n1/"+c.profile]; err == nil || !strings.HasPrefix(err.Error(), "build n1/"+c.profile+": ") || !strings.Contains(err.Error(), c.message) || strings.Contains(err.Error(), c.not) || problem.Hint(err) == "" {
			t.Errorf("%s: got %v (hint: %s)", c.profile, err, problem.Hint(err))
		}
	}
	for _, want := range []string{"the library is on fire", "the blog is too long"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, log.String())
		}
	}
}

// TestBuildThatHangs: a build that does not end fails its profile alone.
func TestBuildThatHangs(t *testing.T) {
	local(t, flake(builds), func(t *testing.T, l *lab) {
		n := l.evaluated("system", "site", "slow")
		l.store.BuildTime = 5 * time.Second
		failed, err := l.build(n, io.Discard)
		if err != nil || len(failed) != 1 || failed["n1/slow"] == nil {
			t.Errorf("got %v, %v", failed, err)
		}
	})
}

// TestBuildReports: what is built is reported while other builds run.
func TestBuildReports(t *testing.T) {
	local(t, flake(builds), testReports)
}

func testReports(t *testing.T, l *lab) {
	t.Helper()
	// More builds that wait than Nix does at once by default.
	text, names := builds, []string{"system", "site"}
	for _, name := range []string{"a", "b", "c"} {
		text += fmt.Sprintf("  %s = profile %[1]q \"${sh %[1]q \"until [ -e %s/go ]; do sleep 0.2; done; echo > $out\"}\";\n", name, l.dir)
		names = append(names, name)
	}
	l.write("flake/flake.nix", flake(text))
	n := l.evaluated(names...)
	l.store.BuildTime = testenv.Patience
	reported := map[string]bool{}
	err := l.store.Build(t.Context(), on(n), n.Profiles, io.Discard, func(known map[string]error) {
		for key, err := range known {
			if err != nil || reported[key] {
				t.Errorf("%s: reported before: %v, %v", key, reported[key], err)
			}
			reported[key] = true
		}
		if len(reported) == 2 && reported["n1/system"] && reported["n1/site"] {
			l.write("go", "")
		}
	})
	if err != nil || len(reported) != len(names) {
		t.Errorf("got %v, %v", reported, err)
	}
}

// on returns where a node's profiles are built.
func on(n deploy.Node) *deploy.Node {
	if n.RemoteBuild {
		return &n
	}
	return nil
}

// kept returns the profiles of a node that the links keep.
func kept(t *testing.T, l *lab, n deploy.Node) (names []string) {
	t.Helper()
	links, err := filepath.Glob(filepath.Join(l.store.Roots, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		target, _ := os.Readlink(link)
		for _, p := range n.Profiles {
			if p.Path == target {
				names = append(names, p.Name)
			}
		}
	}
	return names
}

func TestBuild(t *testing.T) {
	local(t, flake(builds), func(t *testing.T, l *lab) {
		testBuild(t, l)
		n := l.evaluated("system", "site", "blog")
		if got := kept(t, l, n); len(got) != 2 {
			t.Errorf("links keep %v", got)
		}
		l.run("nix-store", "--gc")
		for _, p := range n.Profiles[:2] {
			if _, err := os.Stat(p.Path); err != nil {
				t.Errorf("the garbage collector removed what was built: %v", err)
			}
		}
		// Without the links the garbage collector removes them.
		if err := os.RemoveAll(l.store.Roots); err != nil {
			t.Fatal(err)
		}
		l.run("nix-store", "--gc")
		if _, err := os.Stat(n.Profiles[0].Path); err == nil {
			t.Error("the path stays without its link")
		}
	})
}

func TestBuildSucceeds(t *testing.T) {
	local(t, flake(builds), func(t *testing.T, l *lab) {
		n := l.built("system", "site")
		if got := kept(t, l, n); len(got) != 2 {
			t.Errorf("links keep %v", got)
		}
		// A second build finds all built.
		if failed, err := l.build(n, io.Discard); len(failed) > 0 || err != nil {
			t.Errorf("got %v, %v", failed, err)
		}
		// A path that its derivation does not make is not built.
		n.Profiles[0].Path = n.Profiles[0].Path[:len(n.Profiles[0].Path)-1] + "9"
		failed, err := l.build(n, io.Discard)
		if err != nil || len(failed) != 1 || !strings.Contains(failed["n1/system"].Error(), "which does not produce the profile's path") {
			t.Errorf("got %v, %v", failed, err)
		}
	})
}

// A cancelled build ends with all processes that it started.
func TestBuildCancelled(t *testing.T) {
	local(t, flake(builds), func(t *testing.T, l *lab) {
		n := l.evaluated("slow")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		err := l.store.Build(ctx, on(n), n.Profiles, when("begun", cancel), func(map[string]error) {})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

// when returns a writer that calls do for each text with a word.
func when(word string, do func()) writerFunc {
	return func(p []byte) (int, error) {
		if strings.Contains(string(p), word) {
			do()
		}
		return len(p), nil
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// A node with RemoteBuild receives derivations; this machine builds none of them.
func TestBuildOnNode(t *testing.T) {
	each(t, flake(builds), func(t *testing.T, l *lab) {
		l.node.RemoteBuild = true
		testBuild(t, l)
		n := l.evaluated("system", "site")
		for _, p := range n.Profiles {
			if !l.has(p.Path) {
				t.Errorf("%s is not on the node", p.Path)
			}
			if _, err := os.Stat(p.Path); err == nil {
				t.Errorf("%s was built here", p.Path)
			}
		}
		// The node also compares what it built.
		diffs, err := l.store.Diff(t.Context(), n, []deploy.Pair{{Profile: "site", New: n.Profiles[1].Path}})
		if err != nil || diffs[0].Size == 0 || diffs[0].Copy != 0 || len(diffs[0].Added) != 2 {
			t.Errorf("got %+v, %v", diffs, err)
		}
	})
}
