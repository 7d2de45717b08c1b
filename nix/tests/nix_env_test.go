package nix_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// TestNixEnv sets a profile by a node's nix-env, as a deploy does as the user of an
// environment. The generations are those that Nix's own nix-env makes.
func TestNixEnv(t *testing.T) {
	bash := testenv.Need(t, "bash")
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	store := filepath.Join(dir, "store")
	path := func(name string) string {
		return filepath.Join(store, "0123456789abcdfghijklmnpqrsvwxyz-"+name)
	}
	for _, name := range []string{"a", "b"} {
		if err := os.MkdirAll(path(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile("../modules/hostenv-nix-env.sh")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "nix-env")
	write(t, program, "#!/usr/bin/env bash\n"+strings.NewReplacer("@coreutils@", os.Getenv("PATH"), "@nix@", dir, "/nix/store", store).Replace(string(text)), 0o755)
	write(t, filepath.Join(dir, "bin/nix-env"), "#!/bin/sh\necho \"nix's own: $*\"\n", 0o755)
	profiles := filepath.Join(dir, "profiles")
	if err := os.Mkdir(profiles, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(profiles, 0o777); err != nil {
		t.Fatal(err)
	}
	profile := filepath.Join(profiles, "hostenv")
	run := func(args ...string) (string, error) {
		command := append([]string{bash, program}, args...)
		if os.Getuid() == 0 { // root uses Nix's own
			for parent := dir; parent != "/" && parent != os.TempDir(); parent = filepath.Dir(parent) {
				if err := os.Chmod(parent, 0o777); err != nil {
					t.Fatal(err)
				}
			}
			command = append([]string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}, command...)
		}
		out, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput()
		return string(out), err
	}
	for _, step := range []struct{ set, want string }{
		{path("a"), "hostenv-1-link"},
		{path("a"), "hostenv-1-link"},
		{path("b"), "hostenv-2-link"},
		{path("a"), "hostenv-3-link"},
	} {
		if out, err := run("-p", profile, "--set", step.set); err != nil || out != "" {
			t.Fatalf("%v: %s", err, out)
		}
		generation, err := os.Readlink(profile)
		if err != nil || generation != step.want {
			t.Errorf("the generation is %s, %v, want %s", generation, err, step.want)
		}
		if now, err := filepath.EvalSymlinks(profile); err != nil || now != step.set {
			t.Errorf("the profile leads to %s, %v, want %s", now, err, step.set)
		}
	}
	for _, bad := range []string{path("missing"), "/etc", store, path("a") + "/../../../etc", "-x"} {
		if out, err := run("-p", profile, "--set", bad); err == nil || !strings.Contains(out, "error: ") {
			t.Errorf("it sets %s: %s", bad, out)
		}
	}
	for _, args := range [][]string{{"-p", profile, "--rollback"}, {"--version"}, {"-p", profile, "--set", path("a"), "--dry-run"}} {
		if out, err := run(args...); err != nil || out != "nix's own: "+strings.Join(args, " ")+"\n" {
			t.Errorf("%v: %q, %v", args, out, err)
		}
	}
	if entries, err := os.ReadDir(profiles); err != nil || len(entries) != 4 {
		t.Errorf("the folder has %v, %v, want the profile and three generations", entries, err)
	}
}
