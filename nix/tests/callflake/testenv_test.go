package callflake

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What hostenv/internal/testenv says of Nix, which Go lets no package outside of
// hostenv/ import: the same variables, the same settings.

// need skips the test where a program is missing, or fails it where
// HOSTENV_TEST_REQUIRE asks for all or for this one.
func need(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		require := os.Getenv("HOSTENV_TEST_REQUIRE")
		if require == "1" || slices.Contains(strings.Split(require, ","), name) {
			t.Fatalf("%s is required and missing", name)
		}
		t.Skipf("left out, for there is no %s", name)
	}
	return path
}

// nixBinaries are the Nix on PATH, and those that HOSTENV_TEST_NIX adds.
func nixBinaries(t testing.TB) []string {
	t.Helper()
	binaries := []string{need(t, "nix")}
	for _, path := range filepath.SplitList(os.Getenv("HOSTENV_TEST_NIX")) {
		if path != "" && !slices.Contains(binaries, path) {
			binaries = append(binaries, path)
		}
	}
	return binaries
}

// nixEnv lets no Nix leave this machine, and gives it all of its own below dir.
func nixEnv(dir string) []string {
	config := strings.Join([]string{
		"experimental-features = nix-command flakes",
		"sandbox = false",
		"substituters =",
		"build-users-group =",
		"flake-registry = ",
	}, "\n")
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "NIX_") || strings.HasPrefix(kv, "XDG_") || strings.HasPrefix(kv, "HOME=")
	})
	return append(env,
		"HOME="+filepath.Join(dir, "home"),
		"NIX_CONFIG="+config,
		"NIX_CONF_DIR="+filepath.Join(dir, "etc"),
		"NIX_REMOTE=local?root="+filepath.Join(dir, "nix-root"),
		"GIT_CONFIG_GLOBAL="+os.DevNull,
		"GIT_CONFIG_SYSTEM="+os.DevNull,
	)
}
