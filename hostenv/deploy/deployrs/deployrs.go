// Package deployrs activates profiles through deploy-rs.
//
// Each activation is one run of `deploy` for one profile. deploy-rs evaluates a
// flake and so it is given one, of literals alone: the provider's own is not
// evaluated again. What is there to build is built and on the node already, so
// that deploy-rs's own building and copying find nothing to do.
//
// The run is a session of its own, which neither a terminal's Ctrl-C nor the
// death of this process ends. Whatever it says goes to a file, and is never
// parsed; its exit status is left in another one. What came of an activation the
// node alone knows.
//
// Facts of deploy-rs are from its source at d5eff7f; the tests compare them with
// a real one.
package deployrs

import (
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
	// Dir is a folder of the run, for what is handed to deploy-rs and for its
	// output. It must be there.
	Dir string
	// SSHConfig is the ssh_config(5) that knows every node by its name.
	SSHConfig string
	// Program is deploy-rs's `deploy`. If it is "" then the one that was built
	// with the profile's own activate-rs is taken, and where that cannot run
	// here the one of the flake's input deploy-rs. One on PATH is never taken:
	// nothing says that it fits.
	Program string
	// Nix runs in the folder of the provider's flake, whose input deploy-rs it
	// builds if no other program is found. It may be nil.
	Nix *nix.Runner
	// Inherit are open for as long as an activation is at work, even without
	// this process: a flock on one of them is held until then.
	Inherit []*os.File
	// Env names variables of the environment, beside the usual ones, that ssh
	// needs, such as those of a ProxyCommand. The others are not passed on.
	Env []string

	// ConfirmTimeout is how long a node waits, once it has activated, to be
	// reached over a new connection before it goes back; 0 is 30 s.
	ConfirmTimeout time.Duration
	// ActivationTimeout is how long an activation may take. Beyond it nobody is
	// there to confirm, and the node goes back: it is long for the sake of
	// environments that restore their data first. 0 is 6 h.
	ActivationTimeout time.Duration
	// Grace is how long what is cancelled has to end by itself; 0 is 5 s.
	Grace time.Duration
}

// Activator is a [deploy.Activator] that uses deploy-rs.
type Activator struct {
	Options

	mu    sync.Mutex
	tried map[string]*trial // by program
	input func() (string, error)
}

var _ deploy.Activator = (*Activator)(nil)

// New returns an Activator.
func New(options Options) *Activator {
	orDefault(&options.ConfirmTimeout, 30*time.Second)
	orDefault(&options.ActivationTimeout, 6*time.Hour)
	orDefault(&options.Grace, 5*time.Second)
	return &Activator{Options: options, tried: map[string]*trial{}}
}

func orDefault(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

// Activate implements [deploy.Activator]. If ctx is done then the activation is
// stopped at once: what it leaves on the node is not known.
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

// arguments are those of `deploy`. What is of the profile is in the flake.
//
//   - --skip-checks: there are none, and it would ask Nix for them
//   - --checksigs: without it deploy-rs bids Nix not to ask for signatures
//   - --rollback-succeeded false: otherwise it revokes what others did
//
// The target is looked up from the folder that deploy-rs runs in: up to 2.8 at
// least, Nix takes no path that would have to be escaped in a URL.
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
	// Nix looks at the folder by its path.
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
	return dir, writeFlake(dir, config, document)
}

// environment is what deploy-rs, and nix and ssh below it, get to see: what they
// need and no secret. LOCAL_KEY would make deploy-rs sign, once more.
func (a *Activator) environment() []string {
	keep := append([]string{
		"PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LANG", "LC_ALL", "TZ",
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
	// deploy-rs leaves it to the caller to switch flakes on, and without
	// them takes another way with no more than a warning.
	config := strings.TrimSpace(strings.TrimSpace(os.Getenv("NIX_CONFIG")) + "\nextra-experimental-features = nix-command flakes")
	return append(env, "RUST_LOG=info", "NIX_CONFIG="+config)
}
