package main

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/console"
	"github.com/woolwichweb/hostenv-provider/internal/deployrs"
	"github.com/woolwichweb/hostenv-provider/internal/fleet"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

const guide = "../../docs/tutorial.md"

var update = flag.Bool("update", false, "rewrite the outputs in docs/tutorial.md and README.md")

func TestMain(m *testing.M) { fleet.Main(m, targets, deployrs.Programs) }

var targets = testenv.Targets("../..")

// TestTutorial follows docs/tutorial.md word by word.
func TestTutorial(t *testing.T) {
	fleet.Need(t)
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is missing, which the tutorial runs")
	}
	programs := t.TempDir()
	for name, dir := range map[string]string{
		"hostenv-provider": testenv.Built(t, targets), "deploy": deployrs.Build(t), "activate": deployrs.Build(t),
	} {
		if err := os.Symlink(filepath.Join(dir, name), filepath.Join(programs, name)); err != nil {
			t.Fatal(err)
		}
	}
	checkout, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	w, err := open(t.Context(), checkout, programs)
	if err != nil {
		t.Fatal(err)
	}
	defer w.fleet.End()

	at := filepath.Join(t.TempDir(), "pwd")
	cwd := provider
	console.Walk(t, guide, *update, func(c console.Command) string {
		cmd := exec.CommandContext(t.Context(), "bash", "--noprofile", "--norc", "-c", c.Line+"\nstatus=$?\npwd >"+at+"\nexit $status")
		cmd.Dir, cmd.Env = cwd, w.env
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("$ %s: %v\n%s", c.Line, err, out)
		}
		dir, err := os.ReadFile(at)
		if err != nil {
			t.Fatal(err)
		}
		cwd = strings.TrimSpace(string(dir))
		return string(out)
	})
}

// README.md shows commands of the tutorial, with parts of their outputs.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string][]string{}
	for _, c := range slices.Backward(console.Parse(string(text)).Commands) {
		shown[c.Line] = c.Output // of several, the first
	}
	console.Walk(t, "../../README.md", *update, func(c console.Command) string {
		output, ok := shown[c.Line]
		if !ok {
			t.Errorf("README.md has the command %q, which %s does not have", c.Line, guide)
		}
		return strings.Join(output, "\n")
	})
}
