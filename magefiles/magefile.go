//go:build mage

// The tasks of this repository, beside the targets that a provider has.
package main

import (
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
	"github.com/woolwichweb/hostenv-provider/internal/boulder"
	"github.com/woolwichweb/hostenv-provider/internal/fleet"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"

	//mage:import
	"github.com/woolwichweb/hostenv-provider/magefiles/targets"
)

// Test fetches the modules that tests need, runs all tests, and prints which it
// skips because a program is missing.
func Test() error {
	testenv.PrintMissing(os.Stdout)
	if err := fetch("."); err != nil {
		return err
	}
	without := withoutLaboratory()
	if without != "" {
		fmt.Printf("skipped %s, because %s\n", laboratory, without)
	} else if err := fetch(laboratory); err != nil {
		return err
	}
	if testenv.Find("nixos-nodes") != "" {
		if err := fetch(nodeTools); err != nil {
			return err
		}
	}
	args := []string{"test", "-timeout=90m"}
	if mg.Verbose() {
		args = append(args, "-v")
	}
	err := sh.RunV("go", append(args, "./...")...)
	if without != "" {
		return err
	}
	err = errors.Join(err, runIn(laboratory, "go", append(args, ".")...))
	// A newer release is no fault of this tree, so it does not fail its tests.
	if step := inStep(); step != nil {
		fmt.Println(step)
	}
	return err
}

// Boulder fails if there is a release of Let's Encrypt's software that is eight weeks
// newer than the one that the DNS gate is tested against, or if the releases are not
// known.
func Boulder() error { return inStep() }

// inStep returns an error if the laboratory's Boulder is old.
func inStep() error {
	list := func(args ...string) (string, error) {
		cmd := exec.Command("go", append([]string{"list", "-m"}, args...)...)
		cmd.Dir, cmd.Env = laboratory, moduleEnv(laboratory)
		out, err := cmd.Output()
		return strings.TrimSpace(string(out)), err
	}
	used, err := list("-f={{.Version}}", boulder.Module)
	if err != nil {
		return fmt.Errorf("left out: whether Boulder is in step: its version is not known: %w", err)
	}
	versions, err := list("-versions", boulder.Module)
	if err != nil {
		return fmt.Errorf("left out: whether Boulder %s is in step: its releases are not known, which needs a network: %w", used, err)
	}
	newest, weeks, err := boulder.Behind(used, strings.Fields(versions))
	if err == nil && weeks >= boulder.Weeks {
		err = fmt.Errorf("warning: the DNS gate is tested against Boulder %s, and %s is %d weeks newer (hint: go get %s@%s in %s, then go mod tidy and go tool mage test)",
			used, newest, weeks, boulder.Module, newest, laboratory)
	}
	return err
}

// fetch makes Go fetch all modules that the tests of a module need, before a test
// enters a namespace without a network or runs Go with GOPROXY=off. It needs no
// network if all modules are there.
func fetch(dir string) error {
	fmt.Printf("fetching modules for the tests of %s\n", dir)
	for _, args := range [][]string{
		{"list", "-m", "all"}, // the go.mod of every module, for those that add ours to theirs
		{"list", "-deps", "-test", "./..."},
	} {
		cmd := exec.Command("go", args...)
		cmd.Dir, cmd.Stderr, cmd.Env = dir, os.Stderr, moduleEnv(dir)
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("fetch modules, by go %s in %s: %w (hint: the first run needs a network, or a GOPROXY that has the modules)", strings.Join(args, " "), dir, err)
		}
	}
	// The test that go.mod is tidy needs what the tests of those modules import.
	// This may fail: that test reports what is not tidy.
	cmd := exec.Command("go", "mod", "tidy", "-diff")
	cmd.Dir, cmd.Env = dir, moduleEnv(dir)
	_ = cmd.Run()
	return nil
}

// laboratory is a module of its own, so that a program that embeds the library
// does not need Let's Encrypt's software.
const laboratory = "hostenv/dnsgate/conformance"

// moduleEnv is the environment of Go in the folder of a module. The laboratory may need
// a newer Go than this one: Go then fetches it from the module proxy.
func moduleEnv(dir string) []string {
	if dir != laboratory {
		return os.Environ()
	}
	return append(os.Environ(), "GOTOOLCHAIN=auto")
}

// nodeTools is a module of its own for the same reason. It has the programs that
// Debian does not have for real NixOS nodes in tests.
const nodeTools = "internal/nixosnode/tools"

// withoutLaboratory returns why the laboratory cannot run, "" if it can. To build
// its module only to find out would fetch much.
func withoutLaboratory() string {
	if slices.Contains(strings.Fields(os.Getenv("GOFLAGS")), "-short") {
		return "GOFLAGS has -short"
	}
	for _, tool := range []string{"unshare", "ip", "unbound"} {
		if testenv.Find(tool) == "" && !testenv.Required(tool) {
			return tool + " is missing"
		}
	}
	return ""
}

func runIn(dir, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.Env = dir, os.Stdout, os.Stderr, moduleEnv(dir)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s in %s: %w", name, strings.Join(args, " "), dir, err)
	}
	return nil
}

// Golden records the plans that the scenarios of golden/ give now. Read the
// difference before you commit it.
func Golden() error {
	return sh.RunV("go", "test", "./hostenv/plan", "-run=^TestGolden$", "-update")
}

// Record records in golden/ what the legacy generator of the real hostenv gives
// (see docs/development.md), and then what ours gives for the same input.
func Record() error {
	if err := sh.RunWithV(map[string]string{"HOSTENV_TEST_REQUIRE": "real-hostenv,mirrors"},
		"go", "test", "./nix/tests/realhostenv", "-run=^TestRecorded$", "-count=1", "-timeout=30m", "-update"); err != nil {
		return err
	}
	return Golden()
}

// Bench runs the benchmarks of docs/benchmarks.md.
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

// Demo plans the example provider in a new folder and shows the plan. Without Nix
// it plans from a recorded inventory.
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
		fmt.Println("Nix is missing: planning from the recorded inventory of the example, in", dir)
		inventory = filepath.Join(provider, "inventory.json")
		if err := os.MkdirAll(provider, 0o777); err != nil {
			return err
		}
		if err := errors.Join(
			os.WriteFile(inventory, examples.Inventory(), 0o666),
			os.WriteFile(filepath.Join(provider, "flake.nix"), []byte("{ outputs = _: { }; }\n"), 0o666), // state:init looks for it
		); err != nil {
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
		{"mage plan", func() error {
			return targets.Plan(ctx, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, &inventory, nil, nil, nil, nil)
		}},
		{"mage state:list", func() error { return s.List(ctx, nil, nil) }},
	}
	for _, step := range steps {
		fmt.Printf("\n$ %s\n", step.command)
		if err := step.run(); err != nil {
			return err
		}
	}
	fmt.Printf("\nthe plan and the state are in %s\n", filepath.Join(provider, "generated"))
	fmt.Println("to gate and deploy a plan: go tool mage tutorial, with docs/tutorial.md")
	return nil
}

// Tutorial opens the shell of docs/tutorial.md: the example provider, two pretend
// nodes to deploy it to, and mage. It asks sudo for root, for namespaces.
func Tutorial() error {
	if missing := fleet.Missing(); os.Geteuid() == 0 && len(missing) > 0 {
		return fmt.Errorf("the tutorial needs %s, which this machine does not have (hint: docs/tutorial.md has the packages)", strings.Join(missing, ", "))
	}
	programs, err := os.MkdirTemp("", "hostenv-tutorial-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(programs)
	checkout, err := os.Getwd()
	if err != nil {
		return err
	}
	fmt.Println("building the programs of the tutorial")
	if err := errors.Join(
		os.Chmod(programs, 0o755),
		sh.RunV("go", "build", "-o", programs+"/", "./internal/deployrs/cmd/deploy", "./internal/deployrs/cmd/activate", "./internal/tutorial"),
		testenv.Compile(checkout, filepath.Join(programs, "hostenv-provider")),
	); err != nil {
		return err
	}
	argv := []string{filepath.Join(programs, "tutorial"), checkout, programs}
	if os.Geteuid() != 0 {
		argv = append([]string{"sudo", "env", "PATH=" + os.Getenv("PATH")}, argv...)
	}
	shell := exec.Command(argv[0], argv[1:]...)
	shell.Stdin, shell.Stdout, shell.Stderr = os.Stdin, os.Stdout, os.Stderr
	return shell.Run()
}
