// Package deployrs activates profiles through deploy-rs.
//
// Each activation is one run of `deploy` for one profile. deploy-rs evaluates a
// flake, so we write one that holds only literals, and the provider's flake is not
// evaluated again. The profile is already built and on the node, so that deploy-rs
// has nothing to build or copy. We put a `nix` and an `ssh` in front of its PATH: the first
// gives the answers that we know, without Nix; the second logs in again if sshd drops the
// connection before its login.
//
// deploy-rs runs in a session of its own: neither a Ctrl-C in the terminal nor the
// death of this process ends it. Its output goes to a file and does not decide
// anything; its exit status goes to another file. Only the node knows the result of
// an activation.
//
// What we know about deploy-rs is from its source at d5eff7f. The tests compare it
// with the real program.
package deployrs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/nix"
)

// Options say what all activations of a run have in common.
type Options struct {
	// Dir is a folder of the run, for the input and the output of deploy-rs. It
	// must exist.
	Dir string
	// SSHConfig is the ssh_config(5) that has every node by its name.
	SSHConfig string
	// Program is the `deploy` of deploy-rs. If it is "", we use the one from the
	// same package as the profile's activate-rs, or, if that cannot run here, the
	// one of the flake's input deploy-rs. We never use one from PATH, because it
	// may not match activate-rs.
	Program string
	// Nix runs in the folder of the provider's flake. It builds the flake's input
	// deploy-rs if no other program is found. It may be nil.
	Nix *nix.Runner
	// Inherit are files that stay open while an activation runs, even if this
	// process ends. A flock on one of them is held until the activation has ended.
	Inherit []*os.File
	// Env names further environment variables to pass on, such as those that a
	// ProxyCommand needs. All but these and the usual ones are removed.
	Env []string

	// ConfirmTimeout is how long a node waits, after it has activated, for the
	// confirmation over a new connection. Then it goes back. 0 means 30 s.
	ConfirmTimeout time.Duration
	// ActivationTimeout is how long an activation may take. After it deploy-rs does
	// not confirm, and the node goes back. It is long because environments may
	// restore their data first. 0 means 6 h.
	ActivationTimeout time.Duration
	// Grace is how long a cancelled activation has to end by itself, before it is
	// killed. 0 means 5 s.
	Grace time.Duration
}

// Activator is a [deploy.Activator] that uses deploy-rs.
type Activator struct {
	Options

	mu    sync.Mutex
	input func() (string, error)
}

var _ deploy.Activator = (*Activator)(nil)

// New returns an Activator. It fills in the defaults of options.
func New(options Options) *Activator {
	options.ConfirmTimeout = cmp.Or(options.ConfirmTimeout, 30*time.Second)
	options.ActivationTimeout = cmp.Or(options.ActivationTimeout, 6*time.Hour)
	options.Grace = cmp.Or(options.Grace, 5*time.Second)
	return &Activator{Options: options}
}

// Activate implements [deploy.Activator]. If ctx ends, it stops the activation at
// once, and the state of the node is unknown.
//
// The error has ctx's in it if that stopped the activation.
func (a *Activator) Activate(ctx context.Context, n deploy.Node, p deploy.Profile, how deploy.ActivateOptions, log io.Writer) error {
	if err := Check(n, p); err != nil {
		return err
	}
	if _, err := os.Lstat(how.Status); err == nil {
		return errors.New(how.Status + " is the exit status of another activation")
	}
	program, err := a.Program(ctx, n, p)
	if err != nil {
		return err
	}
	dir, err := a.prepare(n, p, a.document(n, p, how.Rollback, n.RemoteBuild))
	if err != nil {
		return fmt.Errorf("prepare deploy-rs for %s: %w", p.Key(), err)
	}
	status, err := filepath.Abs(how.Status)
	if err != nil {
		return err
	}
	code, err := a.run(ctx, dir, status, log, append([]string{program}, arguments(n, p)...))
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("stopped while %s was being activated: %w", p.Key(), context.Cause(ctx))
	case err != nil:
		return fmt.Errorf("run deploy-rs for %s: %w", p.Key(), err)
	case code != 0:
		return exitError(p, code)
	}
	return nil
}

// arguments returns the arguments of `deploy`. The settings of the profile are in
// the flake.
//
//   - --skip-checks: the flake has none, and deploy-rs would ask Nix for them
//   - --checksigs: without it deploy-rs tells Nix not to check signatures
//   - --rollback-succeeded false: otherwise deploy-rs would undo other activations
//
// The target is a path relative to the folder that deploy-rs runs in, because Nix
// up to at least 2.8 takes no path that must be escaped in a URL.
func arguments(n deploy.Node, p deploy.Profile) []string {
	return []string{
		"--skip-checks", "--checksigs", "--rollback-succeeded", "false",
		fmt.Sprintf(`path:./%s#"%s"."%s"`, flakeDir, n.Name, p.Name),
	}
}

// prepare makes the folder in which deploy-rs runs for one activation.
func (a *Activator) prepare(n deploy.Node, p deploy.Profile, document []byte) (string, error) {
	dir, err := os.MkdirTemp(a.Dir, n.Name+"."+p.Name+".")
	if err != nil {
		return "", err
	}
	// The flake's path must have no symbolic link for Nix.
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", err
	}
	config, err := filepath.Abs(a.SSHConfig)
	if err != nil {
		return "", err
	}
	if err := writeShims(dir, p); err != nil {
		return "", err
	}
	return dir, writeFlake(dir, config, document)
}

// environment returns the environment variables of deploy-rs, and so of nix and
// ssh, which it starts: those that they need, without secrets. With LOCAL_KEY
// deploy-rs would sign the closure a second time.
func (a *Activator) environment(dir string) []string {
	keep := append([]string{
		"HOME", "USER", "LOGNAME", "TMPDIR", "LANG", "LC_ALL", "TZ",
		"SSH_AUTH_SOCK", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME",
		"NIX_REMOTE", "NIX_CONF_DIR", "NIX_USER_CONF_FILES", "NIX_STORE_DIR", "NIX_STATE_DIR", "NIX_LOG_DIR",
		"NIX_DATA_DIR", "NIX_DAEMON_SOCKET_PATH", "NIX_SSL_CERT_FILE", "SSL_CERT_FILE",
	}, a.Env...)
	var env []string
	for _, name := range keep {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	// deploy-rs does not enable flakes itself. Without them it only warns, and
	// evaluates without a flake.
	config := strings.TrimSpace(strings.TrimSpace(os.Getenv("NIX_CONFIG")) + "\nextra-experimental-features = nix-command flakes")
	path := os.Getenv("PATH")
	return append(env, "RUST_LOG=info", "NIX_CONFIG="+config, "HOSTENV_PATH="+path,
		"PATH="+filepath.Join(dir, binDir)+string(os.PathListSeparator)+path)
}
