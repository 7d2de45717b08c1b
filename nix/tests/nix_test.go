// Package nix_test tests what of nix/ is more than a value: what other programs
// read and run. The values have their cases in the *.nix files beside it, which
// hostenv/nix runs.
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

// A nix is one Nix with a store of its own below dir.
type nix struct {
	binary, dir string
}

// each runs a test under every Nix at hand.
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

// first returns the Nix on PATH, for what does not differ from one to another.
func first(t *testing.T) nix { return nix{testenv.NixBinaries(t)[0], testenv.NixDir(t)} }

// try returns what nix writes, or fails with what it says.
func (n nix) try(t *testing.T, args ...string) (out []byte, log string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), n.binary, args...)
	cmd.Env = testenv.NixEnv(n.dir)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	return stdout.Bytes(), stderr.String(), err
}

// run is try for what must succeed.
func (n nix) run(t *testing.T, args ...string) []byte {
	t.Helper()
	out, log, err := n.try(t, args...)
	if err != nil {
		t.Fatalf("nix %s: %v\n%s", strings.Join(args, " "), err, log)
	}
	return out
}
