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

		// Without a signature the node takes nothing.
		var log bytes.Buffer
		err := l.store.Push(t.Context(), n, paths, &log)
		var unsigned *deploy.UnsignedError
		if !errors.As(err, &unsigned) || unsigned.Node != "n1" || !strings.HasPrefix(unsigned.Path, "/") {
			t.Fatalf("got %v\n%s", err, log.String())
		}
		if l.has(paths[0]) {
			t.Fatal("the node has what nobody signed")
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
			t.Errorf("once more: %v", err)
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

// A key that the node does not trust is none.
func TestPushUntrustedKey(t *testing.T) {
	each(t, flake(pushes), func(t *testing.T, l *lab) {
		n := l.built("system")
		if _, err := hostnix.OpenKey(t.Context(), l.dir, "", "other.example"); err != nil {
			t.Fatal(err)
		}
		l.store.KeyFile = filepath.Join(l.dir, "secrets/signing/secret.key")
		if err := l.store.Sign(t.Context(), []string{n.Profiles[0].Path}, &bytes.Buffer{}); err != nil {
			t.Fatal(err)
		}
		err := l.store.Push(t.Context(), n, []string{n.Profiles[0].Path}, &bytes.Buffer{})
		if unsigned := (*deploy.UnsignedError)(nil); !errors.As(err, &unsigned) {
			t.Errorf("got %v", err)
		}
	})
}

// A connection that breaks off in mid-copy is made once more, and no oftener.
func TestPushDropped(t *testing.T) {
	each(t, flake(pushes), func(t *testing.T, l *lab) {
		n := l.built("big")
		paths := []string{n.Profiles[0].Path}
		l.trust()
		if err := l.store.Sign(t.Context(), paths, &bytes.Buffer{}); err != nil {
			t.Fatal(err)
		}
		l.write("cuts", "2000000\n1000000\n")
		var log bytes.Buffer
		err := l.store.Push(t.Context(), n, paths, &log)
		var dropped *closure.DroppedError
		if !errors.As(err, &dropped) || !dropped.Again || dropped.Hint() == "" || strings.Count(log.String(), "tried once more") != 1 {
			t.Fatalf("got %v\n%s", err, log.String())
		}
		if l.has(paths[0]) {
			t.Error("half a path is one for the node")
		}
		l.write("cuts", "3000000\n")
		if err := l.store.Push(t.Context(), n, paths, &log); err != nil {
			t.Fatalf("%v\n%s", err, log.String())
		}
		if !l.has(paths[0]) {
			t.Error("the node does not have what was pushed")
		}
	})
}

// Nix 2.8 ends now and then with 0 when the connection broke off: what ssh says
// counts.
func TestPushDroppedAsIfDone(t *testing.T) {
	dir := t.TempDir()
	program, runs := filepath.Join(dir, "nix"), filepath.Join(dir, "runs")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho run >>"+runs+"\necho \"copying 4 paths...\nclient_loop: send disconnect: Broken pipe\" >&2\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := &closure.Store{Nix: &hostnix.Runner{Nix: program, Dir: dir}, SSHConfig: filepath.Join(dir, "ssh_config")}
	var log bytes.Buffer
	err := s.Push(t.Context(), deploy.Node{Name: "n1"}, []string{"/nix/store/00000000000000000000000000000000-x"}, &log)
	var dropped *closure.DroppedError
	if !errors.As(err, &dropped) || !dropped.Again || !strings.Contains(dropped.Cause, "client_loop") {
		t.Errorf("got %v", err)
	}
	if text, err := os.ReadFile(runs); err != nil || string(text) != "run\nrun\n" {
		t.Errorf("it was run %q times (%v)", text, err)
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

// A node whose disk is full says so, and is not asked again.
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
		var full *closure.DiskFullError
		if !errors.As(err, &full) || full.Node != "n1" || full.Hint() == "" || strings.Contains(log.String(), "once more") {
			t.Errorf("got %v\n%s", err, log.String())
		}
	}, "unshare", "--mount", "--propagation", "private", "sh", "-c", `mount -t tmpfs -o size=4m none "$ROOT" && exec "$0" "$@"`)
}

func TestRefusesBeforeAnyCommand(t *testing.T) {
	s := &closure.Store{SSHConfig: "/ssh_config"} // there is no Nix in it to run
	n := node("n1", "system")
	for _, path := range []string{"", "/", "--all", "/nix/store/x", "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a b", "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-$(x)", "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-x\n--all", "https://x/0123456789abcdfghijklmnpqrsvwxyz-x"} {
		n.Profiles[0].Path = path
		_, built := s.Build(t.Context(), n, n.Profiles, nil)
		_, compared := s.Diff(t.Context(), n, []deploy.Pair{{New: path}})
		for _, err := range []error{built, compared, s.Push(t.Context(), n, []string{path}, nil), s.Sign(t.Context(), []string{path}, nil)} {
			if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q is no store path", path)) {
				t.Errorf("%q: got %v", path, err)
			}
		}
	}
	s.SSHConfig = "/a b/ssh_config"
	var space *closure.SpaceError
	if err := s.Push(t.Context(), n, []string{"/nix/store/0123456789abcdfghijklmnpqrsvwxyz-x"}, nil); !errors.As(err, &space) {
		t.Errorf("got %v", err)
	}
}
