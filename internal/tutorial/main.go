package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/woolwichweb/hostenv-provider/internal/fleet"
)

const welcome = `
This shell is the tutorial's (docs/tutorial.md). You are the operator of the
provider in %s, with two customers beside it and two
pretend nodes to deploy to. Leave it by "exit", which removes everything.

`

// main runs as root. Its arguments are a checkout of this repository and the folder
// of the programs that [open] needs.
func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "tutorial: %v\n", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 3 {
		return fmt.Errorf("usage: %s CHECKOUT PROGRAMS", filepath.Base(os.Args[0]))
	}
	if _, err := os.Stat("/run/current-system/sw"); err == nil && !fleet.Inside() {
		return errors.New("the tutorial does not run on NixOS, whose programs its builds do not find (hint: use a virtual machine with Debian)")
	}
	if missing := fleet.Missing(); len(missing) > 0 && !fleet.Inside() {
		return fmt.Errorf("this machine does not have %s (hint: docs/tutorial.md has the packages)", strings.Join(missing, ", "))
	}
	fleet.Enter()
	w, err := open(context.Background(), os.Args[1], os.Args[2])
	if err != nil {
		return err
	}
	defer w.fleet.End()
	fmt.Printf(welcome, provider)
	shell := exec.Command("bash", "--noprofile", "--norc")
	shell.Dir, shell.Env = provider, append(w.env, "PS1=$ ")
	shell.Stdin, shell.Stdout, shell.Stderr = os.Stdin, os.Stdout, os.Stderr
	_ = shell.Run() // its exit code is that of the last command
	return nil
}
