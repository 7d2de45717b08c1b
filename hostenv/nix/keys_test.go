package nix_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	hostnix "github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

func TestOpenKeyMakesOne(t *testing.T) {
	config := configHome(t)
	root := t.TempDir()
	k, err := hostnix.OpenKey(t.Context(), root, "", "hosting.example")
	if err != nil || !k.Made || !strings.HasPrefix(k.Public, "hosting.example-1:") || k.File != filepath.Join(config, "hostenv-provider/hosting.example/secret.key") {
		t.Fatalf("got %+v, %v", k, err)
	}
	for path, mode := range map[string]os.FileMode{filepath.Dir(k.File): 0o700, k.File: 0o600, filepath.Join(root, "secrets/signing/public.key"): 0o644} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%q: %v, %v; want mode %v", path, info.Mode(), err, mode)
		}
	}
	for _, dir := range []string{filepath.Dir(k.File), filepath.Join(root, "secrets/signing")} {
		if entries, _ := os.ReadDir(dir); len(entries) != 1 {
			t.Errorf("%s holds %v", dir, entries)
		}
	}
	public, _ := os.ReadFile(filepath.Join(root, "secrets/signing/public.key"))
	if string(public) != k.Public+"\n" {
		t.Errorf("public.key is %q", public)
	}
	again, err := hostnix.OpenKey(t.Context(), root, "", "hosting.example")
	if err != nil || again.Made || again.Public != k.Public {
		t.Errorf("a second call: %+v, %v", again, err)
	}
	// OpenKey makes no key that the variable or the flag names.
	t.Setenv(hostnix.KeyVariable, k.File)
	if again, err = hostnix.OpenKey(t.Context(), t.TempDir(), "", "x"); err != nil || again.Public != k.Public {
		t.Errorf("by the variable: %+v, %v", again, err)
	}
	missing := filepath.Join(root, "missing")
	var failed *problem.Problem
	if _, err = hostnix.OpenKey(t.Context(), root, missing, "x"); !errors.As(err, &failed) || !strings.Contains(failed.Subject, missing) {
		t.Errorf("got %v", err)
	}
}

// configHome gives the test a configuration of its own, and no key by the variable.
func configHome(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	t.Setenv(hostnix.KeyVariable, "")
	return dir
}

// A key that an older version made in the provider's root stays in use.
func TestOpenKeyInFolder(t *testing.T) {
	configHome(t)
	root := t.TempDir()
	k, err := hostnix.OpenKey(t.Context(), root, "", "hosting.example")
	if err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(root, "secrets/signing/secret.key")
	if err := os.Rename(k.File, old); err != nil {
		t.Fatal(err)
	}
	if again, err := hostnix.OpenKey(t.Context(), root, "", "hosting.example"); err != nil || again.File != old || again.Made || again.Public != k.Public {
		t.Errorf("got %+v, %v", again, err)
	}
}

// A fresh clone has the public key and not the secret one: OpenKey makes no other
// key with the same name.
func TestOpenKeyOfClone(t *testing.T) {
	configHome(t)
	root, other := t.TempDir(), t.TempDir()
	k, err := hostnix.OpenKey(t.Context(), root, "", "hosting.example")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(k.File); err != nil {
		t.Fatal(err)
	}
	var refused *problem.Problem
	if _, err := hostnix.OpenKey(t.Context(), root, "", "hosting.example"); !errors.As(err, &refused) || !strings.Contains(refused.Hint(), "-signingKey=") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(k.File); err == nil {
		t.Error("OpenKey made another key")
	}
	// OpenKey writes the public key of a secret key that replaces the old one.
	another, err := hostnix.OpenKey(t.Context(), other, "", "other.example")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(another.File, k.File); err != nil {
		t.Fatal(err)
	}
	got, err := hostnix.OpenKey(t.Context(), root, "", "hosting.example")
	if err != nil || got.Public != another.Public || got.Made {
		t.Errorf("got %+v, %v", got, err)
	}
	public := filepath.Join(root, "secrets/signing/public.key")
	if text, err := os.ReadFile(public); err != nil || string(text) != another.Public+"\n" {
		t.Errorf("public.key holds %q, %v", text, err)
	}
	if info, err := os.Stat(public); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("public.key is %v, %v", info, err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(public)); len(entries) != 1 {
		t.Errorf("there are %v", entries)
	}
}

// Concurrent calls make one key.
func TestOpenKeyAtOnce(t *testing.T) {
	configHome(t)
	root := t.TempDir()
	keys := make([]hostnix.Key, 16)
	var wait sync.WaitGroup
	for i := range keys {
		wait.Go(func() {
			var err error
			if keys[i], err = hostnix.OpenKey(t.Context(), root, "", "hosting.example"); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	made := 0
	for _, k := range keys {
		if k.Public != keys[0].Public {
			t.Errorf("two keys: %s, %s", k.Public, keys[0].Public)
		}
		if k.Made {
			made++
		}
	}
	if made != 1 {
		t.Errorf("%d calls report that they made it", made)
	}
}

// Nix accepts the keys of OpenKey. PublicKey reads the same public key as Nix, in
// these and in keys that Nix makes.
func TestKeysAreNix(t *testing.T) {
	configHome(t)
	for _, binary := range testenv.NixBinaries(t) {
		n := nix{binary: binary, env: testenv.NixEnv(testenv.NixDir(t))}
		dir, runner := realTempDir(t), n.runner(".")
		own := filepath.Join(dir, "own.key")
		if _, err := runner.Run(t.Context(), hostnix.Command{Program: "nix-store", Args: []string{"--generate-binary-cache-key", "own.example-1", own, filepath.Join(dir, "own.public")}}); err != nil {
			t.Fatal(err)
		}
		made, err := hostnix.OpenKey(t.Context(), dir, "", "made.example")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{own, made.File} {
			secret, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want, err := runner.Run(t.Context(), hostnix.Command{Args: []string{"key", "convert-secret-to-public"}, Input: bytes.NewReader(secret)})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := hostnix.PublicKey(file); err != nil || got != strings.TrimSpace(string(want)) {
				t.Errorf("got %q, %v; nix has %q", got, err, want)
			}
		}
	}
}

func TestPublicKeyRefuses(t *testing.T) {
	configHome(t)
	root := t.TempDir()
	k, err := hostnix.OpenKey(t.Context(), root, "", "hosting.example")
	if err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(k.File)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(good)
	at := len("hosting.example-1:") + 60 // in the public key
	flipped[at] = map[bool]byte{true: 'B', false: 'A'}[flipped[at] == 'A']
	for name, c := range map[string]struct {
		content []byte
		mode    os.FileMode
		want    string
	}{
		"open":         {good, 0o644, "can be read by others (mode 0644)"},
		"of the group": {good, 0o640, "can be read by others (mode 0640)"},
		"empty":        {nil, 0o600, "is not a secret key of Nix"},
		"public":       {[]byte(k.Public), 0o600, "is not a secret key of Nix"},
		"ssh":          {[]byte("-----BEGIN OPENSSH PRIVATE KEY-----\ntopsecret\n"), 0o600, "is not a secret key of Nix"},
		"garbage":      {[]byte("topsecret:topsecret!"), 0o600, "is not a secret key of Nix"},
		"name":         {append([]byte("top secret "), good...), 0o600, "is not a secret key of Nix"},
		"flipped":      {flipped, 0o600, "its two halves do not match"},
		"sops":         {[]byte(`{"data": "ENC[AES256_GCM,data:topsecret]"}`), 0o600, "looks like a file of sops"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(file, c.content, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(file, c.mode); err != nil {
				t.Fatal(err)
			}
			_, err := hostnix.PublicKey(file)
			var failed *problem.Problem
			if !errors.As(err, &failed) || !strings.Contains(err.Error(), c.want) || failed.Hint() == "" {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			for _, secret := range []string{"topsecret", string(good[25:40]), string(good[70:90])} {
				if strings.Contains(err.Error()+failed.Hint(), secret) {
					t.Errorf("the error contains a part of the file: %v", err)
				}
			}
		})
	}
	if _, err := hostnix.PublicKey(root); err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Errorf("got %v", err)
	}
}

// OpenKey refuses a key in git. `git add` does not add the key that it makes.
func TestOpenKeyInGit(t *testing.T) {
	git := testenv.Need(t, "git")
	configHome(t)
	root := t.TempDir()
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(git, append([]string{"-C", root}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	run("init", "-q")
	k, err := hostnix.OpenKey(t.Context(), root, "", "hosting.example")
	if err != nil {
		t.Fatal(err)
	}
	run("add", "-A")
	if files := run("ls-files"); files != "secrets/signing/public.key\n" {
		t.Errorf("git has %q", files)
	}
	if _, err = hostnix.OpenKey(t.Context(), root, "", "hosting.example"); err != nil {
		t.Error(err)
	}
	old := filepath.Join(root, "secrets/signing/secret.key")
	if err := os.Rename(k.File, old); err != nil {
		t.Fatal(err)
	}
	run("add", "-f", old)
	_, err = hostnix.OpenKey(t.Context(), root, "", "hosting.example")
	var failed *problem.Problem
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), "is in git") {
		t.Errorf("got %v", err)
	}
}
