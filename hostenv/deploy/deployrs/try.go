package deployrs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/names"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// A trial is the outcome of trying a program once.
type trial struct {
	mu   sync.Mutex
	done bool
	err  error
}

func (t *trial) once(ctx context.Context, try func() error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.done {
		err := try()
		if ctx.Err() != nil {
			return err // the program did not cause it
		}
		t.done, t.err = true, err
	}
	return t.err
}

// shim takes the place of nix and ssh while a program is tried. It builds and
// copies nothing, connects to no node, and records what nix would build.
const shim = `#!/bin/sh
case ${0##*/} in
nix)
	for argument do
		case $argument in
		build | copy)
			[ -e asked ] || printf '%s\n' "$@" >asked
			exit 1
			;;
		esac
	done
	PATH=$HOSTENV_TRY_PATH
	export PATH
	exec nix "$@"
	;;
esac
exit 1
`

// try checks that a program understands this machine's Nix: it must ask Nix to
// build a derivation.
//
// deploy-rs finds the derivation of a profile by `nix show-derivation`. Nix 2.33
// moved the derivations one level down in that answer, and deploy-rs up to d5eff7f
// then takes "/nix/store/version" (or "derivations") for a derivation. The trial
// finds this without a list of versions and revisions.
func (a *Activator) try(ctx context.Context, program string, n deploy.Node, p deploy.Profile) error {
	dir, err := a.prepare(n, p, a.document(n, p, false, false))
	if err != nil {
		return fmt.Errorf("try deploy-rs: %w", err)
	}
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		return fmt.Errorf("try deploy-rs: %w", err)
	}
	for _, name := range []string{"nix", "ssh"} {
		// A process that is forked for another node keeps this file open until its
		// exec. Until then the kernel refuses to run the file (ETXTBSY), and
		// deploy-rs would find the real nix instead. So no fork may happen now.
		syscall.ForkLock.RLock()
		err := os.WriteFile(filepath.Join(bin, name), []byte(shim), 0o700)
		syscall.ForkLock.RUnlock()
		if err != nil {
			return fmt.Errorf("try deploy-rs: %w", err)
		}
	}
	cmd := exec.CommandContext(ctx, program, arguments(n, p)...)
	cmd.Dir = dir
	cmd.Env = append(a.environment(), "HOSTENV_TRY_PATH="+os.Getenv("PATH"), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	output, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil && !errors.As(err, &exit):
		return programError(p, err)
	case exit != nil && exit.ExitCode() == 2:
		return problem.New(program, "rejects its arguments: "+lastLine(output),
			"run `nix flake update deploy-rs` to get another version")
	}
	asked, err := os.ReadFile(filepath.Join(dir, "asked"))
	if errors.Is(err, os.ErrNotExist) {
		return problem.New(program, fmt.Sprintf("did not ask this Nix (%s) for a build: %s", a.nixVersion(ctx), lastLine(output)),
			"check that `nix show-derivation "+p.Path+"` finds the derivation of the profile")
	} else if err != nil {
		return fmt.Errorf("try deploy-rs: %w", err)
	}
	for argument := range strings.Lines(string(asked)) {
		drv, _, _ := strings.Cut(strings.TrimSuffix(argument, "\n"), "^")
		if path, err := names.ParseStorePath(drv); err == nil && path.IsDerivation() {
			return nil
		}
	}
	return problem.New(program, fmt.Sprintf("does not understand this Nix (%s), which prints derivations in another form since 2.33: it would run `nix %s`",
		a.nixVersion(ctx), strings.Join(strings.Fields(string(asked)), " ")),
		"run `nix flake update deploy-rs` to get a newer version, or use a Nix before 2.33")
}

func (a *Activator) nixVersion(ctx context.Context) string {
	cmd := exec.CommandContext(ctx, "nix", "--version")
	cmd.Env, cmd.Stderr = a.environment(), io.Discard
	out, err := cmd.Output()
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(out))
}
