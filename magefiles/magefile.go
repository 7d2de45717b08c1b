//go:build mage

// The tasks of this repository, beside the targets that a provider has.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/magefile/mage/mg"
	"github.com/magefile/mage/sh"

	"github.com/woolwichweb/hostenv-provider/examples"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"

	//mage:import
	"github.com/woolwichweb/hostenv-provider/magefiles/targets"
)

// Test runs all tests, and says which were left out for want of a program.
func Test() error {
	testenv.PrintMissing(os.Stdout)
	args := []string{"test", "-timeout=60m", "./..."}
	if mg.Verbose() {
		args = append(args, "-v")
	}
	return errors.Join(sh.RunV("go", args...), conformance())
}

// laboratory is a module of its own, so that nobody who embeds the library
// fetches Let's Encrypt's software.
const laboratory = "hostenv/dnsgate/conformance"

// conformance runs the tests of the laboratory. Where it cannot run, its module
// is not built either: that would fetch much to be told so.
func conformance() error {
	if slices.Contains(strings.Fields(os.Getenv("GOFLAGS")), "-short") {
		fmt.Printf("left out: %s, for the tests are to be short\n", laboratory)
		return nil
	}
	for _, tool := range []string{"unshare", "ip", "unbound"} {
		if testenv.Find(tool) == "" && !testenv.Required(tool) {
			fmt.Printf("left out: %s, for there is no %s\n", laboratory, tool)
			return nil
		}
	}
	args := []string{"test", "-timeout=10m", "."}
	if mg.Verbose() {
		args = append(args, "-v")
	}
	return runIn(laboratory, "go", args...)
}

func runIn(dir, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s in %s: %w", name, strings.Join(args, " "), dir, err)
	}
	return nil
}

// Golden accepts what the scenarios of golden/ now make; read the difference
// before you commit it.
func Golden() error {
	return sh.RunV("go", "test", "./hostenv/plan", "-run=^TestGolden$", "-update")
}

// Record records anew what golden/ has of hostenv's newest generator, from the
// real hostenv (see docs/development.md), and then what ours makes of it.
func Record() error {
	if err := sh.RunWithV(map[string]string{"HOSTENV_TEST_REQUIRE": "real-hostenv,mirrors"},
		"go", "test", "./nix/tests/realhostenv", "-run=^TestRecorded$", "-count=1", "-timeout=30m", "-update"); err != nil {
		return err
	}
	return Golden()
}

// Bench runs the benchmarks that docs/benchmarks.md tells of.
func Bench() error {
	return sh.RunV("go", "test", "-run=^$", "-bench=.", "-benchmem", "./hostenv/...", "./nix/...")
}

// Lint runs golangci-lint, at the version that magefiles/lint.mod pins.
func Lint() error {
	return errors.Join(
		sh.RunV("go", "tool", "-modfile=magefiles/lint.mod", "golangci-lint", "run", "./..."),
		runIn(laboratory, "go", "tool", "-modfile=../../../magefiles/lint.mod", "golangci-lint", "run", "./..."),
	)
}

// Demo makes a plan of the example provider in a new folder and shows it: with
// Nix from the flake, without from its recorded inventory.
func Demo(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "hostenv-demo-")
	if err != nil {
		return err
	}
	provider := filepath.Join(dir, "provider")
	inventory := ""
	if testenv.Find("nix") != "" && testenv.Find("git") != "" {
		fmt.Println("making the example provider and its customers in", dir)
		if err := examples.Make(ctx, dir, examples.Options{}); err != nil {
			return err
		}
	} else {
		fmt.Println("there is no Nix here: planning from the inventory that was recorded for the example, in", dir)
		inventory = filepath.Join(provider, "inventory.json")
		if err := os.MkdirAll(provider, 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(inventory, examples.Inventory(), 0o666); err != nil {
			return err
		}
	}
	if err := os.Chdir(provider); err != nil {
		return err
	}
	var s targets.State
	steps := []struct {
		command string
		run     func() error
	}{
		{"mage state:init", func() error { return s.Init(ctx, nil) }},
		{"mage plan", func() error { return targets.Plan(ctx, nil, nil, nil, nil, &inventory, nil, nil) }},
		{"mage state:list", func() error { return s.List(nil, nil) }},
	}
	for _, step := range steps {
		fmt.Printf("\n$ %s\n", step.command)
		if err := step.run(); err != nil {
			return err
		}
	}
	return show(filepath.Join(provider, "generated"))
}

// show checks what the demo made, and says where it is.
func show(generated string) error {
	data, err := os.ReadFile(filepath.Join(generated, "state.json"))
	if err != nil {
		return err
	}
	s, err := state.Decode(data)
	if err != nil {
		return err
	}
	plan, err := os.ReadFile(filepath.Join(generated, "plan.json"))
	if err != nil {
		return err
	}
	fmt.Printf("\nthe plan: %s (%d lines, %d environments)\nthe state: %s\n",
		filepath.Join(generated, "plan.json"), bytes.Count(plan, []byte("\n")), len(s.Entries), filepath.Join(generated, "state.json"))
	return nil
}
