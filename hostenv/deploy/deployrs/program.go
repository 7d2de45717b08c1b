package deployrs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/names"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Program returns the `deploy` that activates a profile, see [Options.Program]. The profile
// must be built.
//
// A profile's activate-rs is a script that executes bin/activate of a deploy-rs
// package. bin/deploy of the same package always matches it, and comes from the
// provider's own input.
func (a *Activator) Program(ctx context.Context, n deploy.Node, p deploy.Profile) (string, error) {
	if err := Check(n, p); err != nil {
		return "", err
	}
	pkg := packageOf(p.Path)
	if a.Options.Program != "" {
		program, err := filepath.Abs(a.Options.Program)
		if err == nil {
			program, err = filepath.EvalSymlinks(program)
		}
		if err != nil {
			return "", programError(p, err)
		}
		own := filepath.Dir(filepath.Dir(program))
		if _, err := names.ParseStorePath(own); err == nil && pkg != "" && own != pkg && n.Platform == platform() {
			return "", problem.New("the deploy-rs of -deployRs, "+own+",",
				fmt.Sprintf("is not the one that activates %s, %s", p.Key(), pkg),
				"omit -deployRs, or name "+pkg+"/bin/deploy")
		}
		return program, nil
	}
	if pkg != "" && n.Platform == platform() {
		program := filepath.Join(pkg, "bin", "deploy")
		if _, err := exec.LookPath(program); err == nil {
			return program, nil
		}
	}
	a.mu.Lock()
	if a.input == nil {
		a.input = sync.OnceValues(func() (string, error) { return a.build(ctx) })
	}
	build := a.input
	a.mu.Unlock()
	program, err := build()
	if err != nil {
		return "", programError(p, err)
	}
	return program, nil
}

var activateProgram = regexp.MustCompile(`(/[0-9A-Za-z+._?=/-]+)/bin/activate\b`)

// packageOf returns the deploy-rs package of a profile's activate-rs, "" if the
// profile is not on this machine or does not name the package.
func packageOf(path string) string {
	text, err := os.ReadFile(filepath.Join(path, "activate-rs"))
	if err != nil {
		return ""
	}
	match := activateProgram.FindSubmatch(text)
	if match == nil {
		return ""
	}
	pkg, _ := names.ParseStorePath(string(match[1]))
	return string(pkg)
}

func (a *Activator) build(ctx context.Context) (string, error) {
	if a.Nix == nil {
		return "", errors.New("no program is set, and no flake that has it")
	}
	path, err := a.Nix.BuildInput(ctx, "deploy-rs")
	if err != nil {
		return "", err
	}
	return exec.LookPath(filepath.Join(path, "bin", "deploy"))
}

// platform returns Nix's name for this machine's platform.
func platform() string {
	arch := map[string]string{"amd64": "x86_64", "arm64": "aarch64", "386": "i686"}[runtime.GOARCH]
	return strings.Join([]string{arch, runtime.GOOS}, "-")
}
