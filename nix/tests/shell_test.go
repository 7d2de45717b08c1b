package nix_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// ofShell finds the shell that the first lines of a program name, for shellcheck or
// for the kernel.
var ofShell = regexp.MustCompile(`(?m)\A(#!.*/(sh|bash)\n|(#!.*\n)?# shellcheck shell=(sh|bash)\b)`)

// TestShell checks every shell program of the repository by its shell's grammar
// and by shellcheck.
func TestShell(t *testing.T) {
	list, err := exec.CommandContext(t.Context(), testenv.Need(t, "git"), "-C", "../..", "ls-files", "*.sh", "*.bash").Output()
	if err != nil {
		t.Fatal(err)
	}
	programs := map[string][]string{}
	for _, name := range strings.Fields(string(list)) {
		file := filepath.Join("../..", name)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m := ofShell.FindStringSubmatch(string(text))
		if m == nil {
			t.Errorf("%s does not say which shell it is for: begin it with `# shellcheck shell=bash`", name)
			continue
		}
		programs[m[2]+m[4]] = append(programs[m[2]+m[4]], file)
	}
	parsers := map[string]string{"sh": "dash", "bash": "bash"}
	for shell, files := range programs {
		t.Run(parsers[shell], func(t *testing.T) {
			parser := testenv.Need(t, parsers[shell])
			for _, file := range files {
				if out, err := exec.CommandContext(t.Context(), parser, "-n", file).CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s", file, err, out)
				}
			}
		})
		t.Run("shellcheck "+shell, func(t *testing.T) {
			args := append([]string{"--format=gcc", "--shell=" + shell}, files...)
			if out, err := exec.CommandContext(t.Context(), testenv.Need(t, "shellcheck"), args...).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
