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

// Remote opens sessions. It is for many goroutines at once.
type Remote struct {
	// Patience is how long a node may be silent before it counts as out of
	// reach, as one whose disk hangs while it logs us in; 0 is two minutes.
	Patience time.Duration

	config *Config

	mu    sync.Mutex
	gates map[gateKey]chan struct{}
}

// A gateKey names a gate before an address: of all that log in there, or of those
// that do so again.
type gateKey struct {
	address string
	again   bool
}

var _ deploy.Remote = (*Remote)(nil)

// New returns the way to the nodes of an ssh_config.
func New(config *Config) *Remote {
	return &Remote{config: config, gates: map[gateKey]chan struct{}{}}
}

const (
	// sshd drops some of what comes in while ten others log in (MaxStartups
	// 10:30:100), so no more than these do so at one address.
	atOnce = 8
	// Others may be logging in there too, or a jump host may have many nodes
	// behind it.
	attempts = 7
)

// Open connects to a node; see [deploy.Remote]. Where ssh was not let in, the
// error is an *[AuthError]; where it was and no session came of it, a
// *[ShellError].
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
			}
			return nil, err
		}
		if attempt == 1 { // those that were dropped come one by one, or they would drop each other again
			again := r.gate(n, true)
			select {
			case again <- struct{}{}:
				loggedIn = sync.OnceFunc(func() { <-again })
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		// 0.1 s, 0.2 s, ... 3.2 s, give or take half of it.
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
	// A session that waits for a lock is logged in.
	leave := sync.OnceFunc(func() { <-gate })
	defer leave()

	s, err := start(r.config.Path, n, how)
	if err != nil {
		return nil, err
	}
	if err := s.begin(ctx, how, cmp.Or(r.Patience, 2*time.Minute), func() { leave(); loggedIn() }); err != nil {
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

// publicKeys are the files of public keys that ssh would look for.
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
