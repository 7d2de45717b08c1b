package remote

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// Remote opens sessions. It is safe for concurrent use.
type Remote struct {
	// Patience is how long a node may be silent before we call it unreachable, and how long
	// it may take to observe itself. For example, its disk may hang during the login. 0 means
	// two minutes.
	Patience time.Duration
	// Commands is how long a command may take, 0 for an hour: a backup, or the activation of
	// the path before.
	Commands time.Duration

	config *Config

	mu    sync.Mutex
	gates map[gateKey]chan struct{}
}

// A gateKey names a gate, which limits how many sessions log in at an address at
// once. An address has one gate for all logins, and one for those that are
// repeated.
type gateKey struct {
	address string
	again   bool
}

var _ deploy.Remote = (*Remote)(nil)

// New returns a Remote for the nodes of an ssh_config.
func New(config *Config) *Remote {
	return &Remote{config: config, gates: map[gateKey]chan struct{}{}}
}

const (
	// sshd drops some connections while ten others log in (MaxStartups 10:30:100).
	// So at most atOnce sessions log in at one address.
	atOnce = 8
	// sshd may drop us all the same: other clients log in there too, and many nodes
	// may share a jump host.
	attempts = 7
)

// Open connects to a node; see [deploy.Remote]. If the node refuses the login, the
// error is an *[AuthError].
func (r *Remote) Open(ctx context.Context, n deploy.Node, how deploy.OpenOptions) (deploy.Session, error) {
	if err := checkNode(n); err != nil {
		return nil, err
	}
	var errs []error
	for _, p := range n.Profiles {
		errs = append(errs, checkProfile(n.Name, p))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	loggedIn := func() {}
	defer func() { loggedIn() }()
	for attempt := 1; ; attempt++ {
		s, err := r.open(ctx, n, how, loggedIn)
		var unreachable *deploy.UnreachableError
		if err == nil {
			return s, nil
		} else if attempt == attempts || !errors.As(err, &unreachable) || !dropped.MatchString(unreachable.Cause) {
			var refused *AuthError
			if errors.As(err, &refused) {
				refused.Keys = r.publicKeys(ctx, n)
				refused.Locked = locked(ctx, refused.Keys)
			}
			return nil, err
		}
		if attempt == 1 { // sessions that were dropped log in one by one, or sshd would drop them again
			again := r.gate(n, true)
			select {
			case again <- struct{}{}:
				loggedIn = sync.OnceFunc(func() { <-again })
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		// 0.1 s, 0.2 s, ... 3.2 s, each plus or minus up to half of it.
		pause := time.Duration(float64(100*time.Millisecond<<(attempt-1)) * (0.5 + rand.Float64()))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (r *Remote) open(ctx context.Context, n deploy.Node, how deploy.OpenOptions, loggedIn func()) (deploy.Session, error) {
	gate := r.gate(n, false)
	select {
	case gate <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	// A session leaves the gate after its login, even if it then waits for a lock.
	leave := sync.OnceFunc(func() { <-gate })
	defer leave()

	s, err := start(r.config.Path, n, how)
	if err != nil {
		return nil, err
	}
	s.limit, s.patience = cmp.Or(r.Commands, time.Hour), cmp.Or(r.Patience, 2*time.Minute)
	if err := s.begin(ctx, how, s.patience, func() { leave(); loggedIn() }); err != nil {
		s.kill()
		return nil, err
	}
	return s, nil
}

func (r *Remote) gate(n deploy.Node, again bool) chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	key, room := gateKey{n.Address + " " + strconv.Itoa(n.Port), again}, atOnce
	if again {
		room = 1
	}
	if r.gates[key] == nil {
		r.gates[key] = make(chan struct{}, room)
	}
	return r.gates[key]
}

// publicKeys returns the existing files of public keys that ssh would offer.
func (r *Remote) publicKeys(ctx context.Context, n deploy.Node) []string {
	out, err := exec.CommandContext(ctx, "ssh", "-F", r.config.Path, "-G", "--", n.Name).Output()
	if err != nil {
		return nil
	}
	home, _ := os.UserHomeDir()
	var keys []string
	for line := range strings.Lines(string(out)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "identityfile "); ok {
			if below, ok := strings.CutPrefix(path, "~/"); ok {
				path = home + "/" + below
			}
			if _, err := os.Stat(path + ".pub"); err == nil {
				keys = append(keys, path+".pub")
			}
		}
	}
	return keys
}

// locked returns the files of private keys that ssh cannot use: those with a passphrase
// that are not in the ssh-agent.
func locked(ctx context.Context, public []string) []string {
	agent, _ := exec.CommandContext(ctx, "ssh-add", "-L").Output() // nothing without an agent
	var found []string
	for _, path := range public {
		private := strings.TrimSuffix(path, ".pub")
		cmd := exec.CommandContext(ctx, "ssh-keygen", "-y", "-P", "", "-f", private)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "passphrase") {
			continue
		}
		text, err := os.ReadFile(path)
		if fields := strings.Fields(string(text)); err == nil && len(fields) > 1 && !strings.Contains(string(agent), fields[1]) {
			found = append(found, private)
		}
	}
	return found
}
