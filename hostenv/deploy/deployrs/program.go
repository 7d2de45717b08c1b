package deployrs

import (
	"bytes"
	"context"
	"encoding/json"
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
)

// Program returns the `deploy` that activates a profile, once it is known to fit
// the profile's activate-rs and the Nix here. The profile has been built.
func (a *Activator) Program(ctx context.Context, n deploy.Node, p deploy.Profile) (string, error) {
	if err := Check(n, p); err != nil {
		return "", err
	}
	program, err := a.find(ctx, n, p)
	if err != nil {
		return "", err
	}
	a.mu.Lock()
	t := a.tried[program]
	if t == nil {
		t = &trial{}
		a.tried[program] = t
	}
	a.mu.Unlock()
	return program, t.once(ctx, func() error { return a.try(ctx, program, n, p) })
}

// find finds the program, see [Options.Program].
//
// A profile's activate-rs is a script that executes bin/activate of the package
// of deploy-rs, whose bin/deploy is the command: of one build, and from the
// provider's own input.
func (a *Activator) find(ctx context.Context, n deploy.Node, p deploy.Profile) (string, error) {
	pkg := packageOf(p.Path)
	if a.Options.Program != "" {
		program, err := filepath.Abs(a.Options.Program)
		if err == nil {
			program, err = filepath.EvalSymlinks(program)
		}
		if err != nil {
			return "", &ProgramError{p.Key(), err}
		}
		own := filepath.Dir(filepath.Dir(program))
		if pkg != "" && storePath.MatchString(own) && own != pkg && n.Platform == platform() {
			return "", &VersionError{
				Text: fmt.Sprintf("the deploy-rs that is named, %s, is not the one that %s is activated by, %s", own, p.Key(), pkg),
				Mend: "leave -deployRs and HOSTENV_DEPLOY_RS away, or name " + pkg + "/bin/deploy",
			}
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
		return "", &ProgramError{p.Key(), err}
	}
	return program, nil
}

var activateProgram = regexp.MustCompile(`(/[A-Za-z0-9._/-]+/[0-9a-df-np-sv-z]{32}-[0-9A-Za-z+._?=-]+)/bin/activate\b`)

// packageOf returns the package of deploy-rs whose activate-rs a profile has, ""
// if the profile is not here or says nothing of it.
func packageOf(path string) string {
	text, err := os.ReadFile(filepath.Join(path, "activate-rs"))
	if err != nil {
		return ""
	}
	match := activateProgram.FindSubmatch(text)
	if match == nil {
		return ""
	}
	return string(match[1])
}

// inputExpression is the package of the provider's input, with whatever it has
// to follow.
const inputExpression = `
let packages = (builtins.getFlake (builtins.getEnv "HOSTENV_PROVIDER_FLAKE")).inputs.deploy-rs.packages.${builtins.currentSystem};
in packages.deploy-rs or packages.default`

func (a *Activator) build(ctx context.Context) (string, error) {
	if a.Flake == "" {
		return "", errors.New("neither the program nor a flake that has it is named")
	}
	cmd := exec.CommandContext(ctx, "nix", "build", "--no-link", "--json", "--impure", "--expr", inputExpression)
	cmd.Env = append(a.environment(), "HOSTENV_PROVIDER_FLAKE="+a.Flake)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("build the input deploy-rs of %s: %w: %s", a.Flake, err, lastLine(stderr.Bytes()))
	}
	var built []struct {
		Outputs map[string]string `json:"outputs"`
	}
	if err := json.Unmarshal(out, &built); err != nil || len(built) != 1 || built[0].Outputs["out"] == "" {
		return "", fmt.Errorf("build the input deploy-rs of %s: nix says %q", a.Flake, out)
	}
	return exec.LookPath(filepath.Join(built[0].Outputs["out"], "bin", "deploy"))
}

// platform is Nix's name of this machine's.
func platform() string {
	arch := map[string]string{"amd64": "x86_64", "arm64": "aarch64", "386": "i686"}[runtime.GOARCH]
	return strings.Join([]string{arch, runtime.GOOS}, "-")
}
