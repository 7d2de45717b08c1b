package main

import (
	"bytes"
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

var update = flag.Bool("update", false, "write the outputs of docs/tutorial.md anew")

func TestMain(m *testing.M) { fleet.Main(m, targets, deployrs.Programs) }

var targets = testenv.Targets("../..")

// TestTutorial follows docs/tutorial.md word by word.
func TestTutorial(t *testing.T) {
	fleet.Need(t)
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("the tutorial looks at the sites by curl, which is not here")
	}
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
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

	d := console.Parse(string(text))
	outputs := make([][]string, len(d.Commands))
	at := filepath.Join(t.TempDir(), "pwd")
	cwd := provider
	for i, c := range d.Commands {
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
		if out = bytes.TrimRight(out, "\n"); len(out) > 0 {
			for line := range strings.Lines(string(out)) {
				outputs[i] = append(outputs[i], strings.TrimRight(line, " \n"))
			}
		}
		switch shown := c.Output; {
		case console.Match(shown, outputs[i]):
			outputs[i] = shown
		case !*update || strings.Contains(strings.Join(shown, "\n")+"\n", "...\n"):
			t.Errorf("$ %s\nprints\n%s\nand %s has\n%s", c.Line, out, guide, strings.Join(shown, "\n"))
			outputs[i] = shown
		}
	}
	if *update {
		if err := os.WriteFile(guide, []byte(d.With(outputs)), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if t.Failed() {
		t.Logf("go test ./internal/tutorial -update writes the outputs anew, but for those that leave lines out by ...")
	}
}

// README.md shows commands of the tutorial, with parts of their outputs.
func TestReadme(t *testing.T) {
	commands := func(file string) []console.Command {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return console.Parse(string(text)).Commands
	}
	shown := map[string][]string{}
	for _, c := range slices.Backward(commands(guide)) {
		shown[c.Line] = c.Output // the first time counts
	}
	for _, c := range commands("../../README.md") {
		if output, ok := shown[c.Line]; !ok || !console.Match(c.Output, output) {
			t.Errorf("README.md has\n$ %s\n%s\nand the tutorial\n%s", c.Line, strings.Join(c.Output, "\n"), strings.Join(output, "\n"))
		}
	}
}
