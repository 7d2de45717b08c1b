package closure_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/closure"
	hostnix "github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

const pushes = `
  system = profile "root" "${sh "system-1.0" "echo ${library} > $out"}";
  site = profile "site" "${sh "site-1.0" "echo ${library} site > $out"}";
  big = profile "big" "${sh "big-1.0" "head -c 8000000 /dev/urandom > $out"}";
`

func TestPush(t *testing.T) {
	each(t, flake(pushes), func(t *testing.T, l *lab) {
		n := l.built("system", "site")
		paths := []string{n.Profiles[0].Path, n.Profiles[1].Path}
		l.trust()

		// The node refuses paths without a signature.
		var log bytes.Buffer
		err := l.store.Push(t.Context(), n, paths, &log)
		var unsigned *deploy.UnsignedError
		if !errors.As(err, &unsigned) || unsigned.Node != "n1" || !strings.HasPrefix(unsigned.Path, "/") {
			t.Fatalf("got %v\n%s", err, log.String())
		}
		if l.has(paths[0]) {
			t.Fatal("the node has a path without a signature")
		}

		if err := l.store.Sign(t.Context(), paths, &log); err != nil {
			t.Fatal(err)
		}
		if err := l.store.Push(t.Context(), n, paths, &log); err != nil {
			t.Fatalf("%v\n%s", err, log.String())
		}
		if !l.has(paths[0]) || !l.has(paths[1]) {
			t.Error("the node does not have what was pushed")
		}
		if err := l.store.Push(t.Context(), n, paths, &log); err != nil {
			t.Errorf("a second push: %v", err)
		}
		secret, err := os.ReadFile(l.store.KeyFile)
		if err != nil || strings.Contains(log.String(), strings.TrimSpace(string(secret))[10:]) {
			t.Errorf("the log holds the key (%v)", err)
		}

		n.Name = "gone"
		var unreachable *deploy.UnreachableError
		if err = l.store.Push(t.Context(), n, paths, &log); !errors.As(err, &unreachable) || !strings.Contains(unreachable.Cause, "Connection refused") {
			t.Errorf("got %v", err)
		}
		if err := l.store.Push(t.Context(), n, nil, nil); err != nil {
			t.Errorf("nothing to push: %v", err)
		}
	})
}

// The node refuses paths that are signed by a key that it does not trust.
func TestPushUntrustedKey(t *testing.T) {
	each(t, flake(pushes), func(t *testing.T, l *lab) {
		n := l.built("system")
		t.Setenv("XDG_CONFIG_HOME", t.TempDir())
		t.Setenv(hostnix.KeyVariable, "")
		key, err := hostnix.OpenKey(t.Context(), l.dir, "", "other.example")
		if err != nil {
			t.Fatal(err)
		}
		l.store.KeyFile = key.File
		if err := l.store.Sign(t.Context(), []string{n.Profiles[0].Path}, &bytes.Buffer{}); err != nil {
			t.Fatal(err)
		}
		err = l.store.Push(t.Context(), n, []string{n.Profiles[0].Path}, &bytes.Buffer{})
		if unsigned := (*deploy.UnsignedError)(nil); !errors.As(err, &unsigned) {
			t.Errorf("got %v", err)
		}
	})
}

// A copy goes on with what had arrived before the connection broke off.
func TestPushDropped(t *testing.T) {
	each(t, flake(pushes), func(t *testing.T, l *lab) {
		n := l.built("big")
		paths := []string{n.Profiles[0].Path}
		l.trust()
		if err := l.store.Sign(t.Context(), paths, &bytes.Buffer{}); err != nil {
			t.Fatal(err)
		}
		l.write("cuts", "2000000\n")
		var log bytes.Buffer
		err := l.store.Push(t.Context(), n, paths, &log)
		if !brokeOff(err) || problem.Hint(err) == "" {
			t.Fatalf("got %v\n%s", err, log.String())
		}
		if l.has(paths[0]) {
			t.Error("the node has a path that arrived by half")
		}
		if err := l.store.Push(t.Context(), n, paths, &log); err != nil {
			t.Fatalf("%v\n%s", err, log.String())
		}
		if !l.has(paths[0]) {
			t.Error("the node does not have what was pushed")
		}
	})
}

func brokeOff(err error) bool { return errors.As(err, new(*deploy.CutOffError)) }

// Nix 2.8 sometimes ends with 0 where the connection broke off: Push reads what
// ssh writes.
func TestPushDroppedAsIfDone(t *testing.T) {
	dir := t.TempDir()
	program, runs := filepath.Join(dir, "nix"), filepath.Join(dir, "runs")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho run >>"+runs+"\necho \"copying 4 paths...\nclient_loop: send disconnect: Broken pipe\" >&2\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := &closure.Store{Nix: &hostnix.Runner{Nix: program, Dir: dir}, SSHConfig: filepath.Join(dir, "ssh_config")}
	var log bytes.Buffer
	err := s.Push(t.Context(), deploy.Node{Name: "n1"}, []string{"/nix/store/00000000000000000000000000000000-x"}, &log)
	if !brokeOff(err) || !strings.Contains(err.Error(), "client_loop") {
		t.Errorf("got %v", err)
	}
	if text, err := os.ReadFile(runs); err != nil || string(text) != "run\n" {
		t.Errorf("nix ran as %q (%v)", text, err)
	}
}

func TestPushCancelled(t *testing.T) {
	each(t, flake(pushes), func(t *testing.T, l *lab) {
		n := l.built("big")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		err := l.store.Push(ctx, n, []string{n.Profiles[0].Path}, when("copying", cancel))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

// A full disk of the node is no connection that broke off.
func TestPushDiskFull(t *testing.T) {
	testenv.Need(t, "mounts")
	if out, err := exec.Command("unshare", "--mount", "--propagation", "private", "true").CombinedOutput(); err != nil {
		testenv.LeaveOut(t, "namespaces", "the test does not run as root: %s", out)
	}
	each(t, flake(pushes), func(t *testing.T, l *lab) {
		n := l.built("big")
		l.trust()
		paths := []string{n.Profiles[0].Path}
		if err := l.store.Sign(t.Context(), paths, &bytes.Buffer{}); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		err := l.store.Push(t.Context(), n, paths, &log)
		if err == nil || !strings.HasPrefix(err.Error(), "node n1 has no room left: ") || problem.Hint(err) == "" {
			t.Errorf("got %v\n%s", err, log.String())
		}
	}, "unshare", "--mount", "--propagation", "private", "sh", "-c", `mount -t tmpfs -o size=4m none "$ROOT" && exec "$0" "$@"`)
}

func TestRefusesBeforeAnyCommand(t *testing.T) {
	s := &closure.Store{SSHConfig: "/ssh_config"} // a command would panic: it has no Nix
	n := node("n1", "system")
	for _, path := range []string{"", "/", "--all", "/nix/store/x", "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a b", "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-$(x)", "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-x\n--all", "https://x/0123456789abcdfghijklmnpqrsvwxyz-x"} {
		n.Profiles[0].Path = path
		built := s.Build(t.Context(), on(n), n.Profiles, nil, nil)
		_, compared := s.Diff(t.Context(), n, []deploy.Pair{{New: path}})
		for _, err := range []error{built, compared, s.Push(t.Context(), n, []string{path}, nil), s.Sign(t.Context(), []string{path}, nil)} {
			if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q is not a store path", path)) {
				t.Errorf("%q: got %v", path, err)
			}
		}
	}
	s.SSHConfig = "/a b/ssh_config"
	if err := s.Push(t.Context(), n, []string{"/nix/store/0123456789abcdfghijklmnpqrsvwxyz-x"}, nil); err == nil || !strings.Contains(err.Error(), "splits ssh's options at spaces") {
		t.Errorf("got %v", err)
	}
}
