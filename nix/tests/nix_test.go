// Package nix_test tests the parts of nix/ that other programs read and run. The cases
// for plain values are in the *.nix files beside it, which hostenv/nix runs.
package nix_test

import (
	"bytes"
	"flag"
	"os/exec"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

var update = flag.Bool("update", false, "rewrite what is recorded")

// A nix is one Nix with its own store below dir.
type nix struct {
	binary, dir string
}

// each runs a test under every installed Nix.
func each(t *testing.T, test func(t *testing.T, n nix)) {
	for _, binary := range testenv.NixBinaries(t) {
		out, err := exec.Command(binary, "--version").Output()
		if err != nil {
			t.Fatalf("%s --version: %v", binary, err)
		}
		fields := strings.Fields(string(out))
		t.Run(fields[len(fields)-1], func(t *testing.T) { test(t, nix{binary, testenv.NixDir(t)}) })
	}
}

// first returns the Nix on PATH, for tests that do not depend on the version.
func first(t *testing.T) nix { return nix{testenv.NixBinaries(t)[0], testenv.NixDir(t)} }

// try returns the standard output and the standard error of nix.
func (n nix) try(t *testing.T, args ...string) (out []byte, log string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), n.binary, args...)
	cmd.Env = testenv.NixEnv(n.dir)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	return stdout.Bytes(), stderr.String(), err
}

// run is try for a command that must succeed.
func (n nix) run(t *testing.T, args ...string) []byte {
	t.Helper()
	out, log, err := n.try(t, args...)
	if err != nil {
		t.Fatalf("nix %s: %v\n%s", strings.Join(args, " "), err, log)
	}
	return out
}
