package remote

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

//go:embed agent.sh
var agent string

// session is one ssh process with the agent that it runs on the node.
type session struct {
	node     deploy.Node
	nonce    string
	cmd      *exec.Cmd
	stdin    *os.File
	stdout   *os.File
	out      *bufio.Reader
	stderr   tail
	observed deploy.Observation
	printed  string // what the node's shell printed before the agent began
	state    string // the deploy user's folder for deploys, on the node

	limit    time.Duration // see [Remote.Commands]
	patience time.Duration // see [Remote.Patience]
	turn     chan struct{} // holds a token while no request waits for an answer
	ended    chan struct{} // closed when ssh has ended
	lost     chan struct{} // closed when ssh has ended, unless Close was called
	closing  chan struct{}
	close    sync.Once
}

var _ deploy.Session = (*session)(nil)

// start starts ssh in a process group of its own. A Ctrl-C in the terminal must
// reach only the driver, which may need this connection to finish its work.
func start(config string, n deploy.Node, how deploy.OpenOptions) (*session, error) {
	s := &session{
		node:    n,
		nonce:   rand.Text(),
		turn:    make(chan struct{}, 1),
		ended:   make(chan struct{}),
		lost:    make(chan struct{}),
		closing: make(chan struct{}),
	}
	lock, wait := "look", 0
	if how.Lock {
		lock = "lock"
		// flock takes whole seconds; we round up.
		wait = int((how.LockWait + time.Second - 1) / time.Second)
	}
	holder := []rune(printable(how.Holder))
	command, err := Quote("sh", "-c", agent, "hostenv-agent", s.nonce, lock, strconv.Itoa(max(wait, 0)), string(holder[:min(len(holder), 200)]))
	if err != nil {
		return nil, err
	}

	// We make the pipes ourselves: os/exec closes its own when ssh ends, before we
	// have read the last output.
	stdin, toAgent, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	fromAgent, stdout, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, stdin.Close(), toAgent.Close())
	}
	s.stdin, s.stdout, s.out = toAgent, fromAgent, bufio.NewReader(fromAgent)
	s.cmd = exec.Command("ssh", "-F", config, "-T", "--", n.Name, "exec "+command)
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = stdin, stdout, &s.stderr
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.cmd.WaitDelay = 2 * time.Second
	err = s.cmd.Start()
	err = errors.Join(err, stdin.Close(), stdout.Close())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start ssh to node %s: %w", n.Name, err), toAgent.Close(), fromAgent.Close())
	}
	go s.wait()
	return s, nil
}

// wait waits for ssh to end, and then wakes all that use the connection.
func (s *session) wait() {
	_ = s.cmd.Wait() // its status is in ProcessState
	close(s.ended)
	select {
	case <-s.closing:
	default:
		close(s.lost)
	}
	// This ends blocked writes and reads. One last answer may still be in the pipe.
	_ = s.stdin.Close()
	_ = s.stdout.SetReadDeadline(time.Now().Add(time.Second))
}

// begin waits until the agent is ready, and observes the node. It calls admitted
// once the login has succeeded. A node that is silent for longer than patience is
// unreachable; the time that we wait for a lock does not count.
func (s *session) begin(ctx context.Context, how deploy.OpenOptions, patience time.Duration, admitted func()) error {
	asked, give := context.WithCancelCause(ctx)
	defer give(nil)
	silent := time.AfterFunc(patience, func() {
		give(&deploy.UnreachableError{Node: s.node.Name, Cause: fmt.Sprintf("there was no answer for %v", patience)})
	})
	defer silent.Stop()
	done := make(chan error, 1)
	go func() {
		err := s.greet(how, func() { silent.Stop(); admitted() })
		if err == nil {
			s.turn <- struct{}{}
		}
		done <- err
	}()
	var err error
	select {
	case err = <-done:
	case <-asked.Done():
		return context.Cause(asked)
	}
	if err != nil {
		return err
	}
	silent.Reset(patience)
	s.observed, err = s.Observe(asked)
	if err != nil && asked.Err() != nil {
		return context.Cause(asked)
	}
	return err
}

// greet reads until the agent reports that it is ready, and so holds the lock if
// how asks for it.
func (s *session) greet(how deploy.OpenOptions, admitted func()) error {
	// A login shell may print any text first.
	var output strings.Builder
	for {
		line, err := s.line()
		if err != nil {
			<-s.ended
			return failed(s.node, s.cmd.ProcessState.ExitCode(), s.stderr.String(), output.String())
		}
		if before, ok := strings.CutSuffix(line, "hostenv-agent "+s.nonce); ok {
			s.printed = brief(output.String() + before)
			break
		}
		if output.WriteString(line + "\n"); output.Len() > tailSize {
			return shellError(s.node.Name, "its output does not end: "+brief(output.String()[:200]))
		}
	}
	admitted()
	for {
		line, err := s.line()
		if err != nil {
			<-s.ended
			return s.lostError()
		}
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "ready":
			return nil
		case "held":
			if how.Waiting != nil {
				how.Waiting(s.locked(rest))
			}
		case "busy":
			return s.locked(rest)
		default:
			return shellError(s.node.Name, brief(rest))
		}
	}
}

// locked reads a line of the form PID SINCE HOLDER.
func (s *session) locked(text string) *deploy.LockedError {
	e := &deploy.LockedError{Node: s.node.Name}
	if fields := strings.SplitN(text, " ", 3); len(fields) == 3 {
		if since, err := strconv.ParseInt(fields[1], 10, 64); err == nil && since > 0 {
			e.Since = time.Unix(since, 0).UTC()
		}
		e.Holder = printable(fields[2])
	}
	return e
}

func (s *session) line() (string, error) {
	line, err := s.out.ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}

// An answer is the agent's answer to a request.
type answer struct {
	stdout []byte
	stderr string
	status int
}

// request sends a request to the agent and returns the answer. If ctx ends first,
// the agent still finishes the request, and the next one waits for it: we cannot
// know what half of a command has done.
//
// A command of a customer's user runs the customer's code, which can stop any process
// of its user: after the limit the connection is given up, and the node is opened
// again for what follows.
func (s *session) request(ctx context.Context, verb string, input []byte, args ...string) (answer, error) {
	words, err := Quote(args...)
	if err != nil {
		return answer{}, err
	}
	if err := ctx.Err(); err != nil {
		return answer{}, err
	}
	select {
	case <-s.turn:
	case <-s.ended:
		return answer{}, s.lostError()
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
	type result struct {
		answer
		err error
	}
	done := make(chan result, 1)
	go func() {
		var late atomic.Bool
		limit, what := s.bound(verb, args)
		defer time.AfterFunc(limit, func() {
			late.Store(true)
			s.signal(syscall.SIGKILL)
		}).Stop()
		encoded := base64.StdEncoding.EncodeToString(input)
		_, err := io.WriteString(s.stdin, fmt.Sprintf("%s %d %d\n", verb, len(words), len(encoded))+words+encoded)
		var a answer
		if err == nil {
			a, err = s.answer()
		}
		if err == nil {
			s.turn <- struct{}{}
		} else {
			// The two sides no longer agree where in the stream they are.
			s.signal(syscall.SIGKILL)
			<-s.ended
			if err = s.lostError(); late.Load() {
				err = problem.New("node "+s.node.Name, fmt.Sprintf("gave up %s after %s", what, limit),
					"find out on the node why it does not end, and run `mage deploy -resume`")
			}
		}
		done <- result{a, err}
	}()
	select {
	case r := <-done:
		return r.answer, r.err
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
}

// bound returns how long a request may take, and what it does. A customer can make any
// request wait that runs as their user, or reads their files; and the other profiles of a
// node wait for its answer.
func (s *session) bound(verb string, args []string) (limit time.Duration, what string) {
	switch verb {
	case "run":
		user, limit := args[0], s.limit
		if user == "" || user == "root" { // the provider's own
			user, limit = cmp.Or(user, s.node.User), max(limit, time.Hour)
		}
		return limit, args[1] + " as " + user
	case "restore":
		limit = s.limit
		if p, ok := s.node.Profile(args[0]); ok && p.Limit > 0 {
			// The node ends it by itself before.
			limit = max(limit, p.Limit+10*time.Minute)
		}
		return limit, "restoring " + args[0] + " as " + args[1]
	case "remove":
		return s.limit, "removing a profile as " + args[0]
	case "observe":
		return s.patience, "observing the node"
	default:
		return s.patience, verb
	}
}

const maxOutput = 64 << 20

func (s *session) answer() (answer, error) {
	var a answer
	var encoded strings.Builder
	for {
		line, err := s.line()
		if err != nil {
			return a, err
		}
		if rest, ok := strings.CutPrefix(line, "."); ok {
			if a.stdout, err = base64.StdEncoding.DecodeString(encoded.String()); err != nil {
				return a, err
			}
			return a, a.end(rest)
		}
		if encoded.WriteString(line); encoded.Len() > maxOutput {
			return a, errors.New("too much output")
		}
	}
}

// end reads stderr in base64 and the status, as in [0]. The status may be anywhere
// in the text, because two processes write it.
func (a *answer) end(text string) error {
	before, rest, ok := strings.Cut(text, "[")
	status, after, closed := strings.Cut(rest, "]")
	if !ok || !closed {
		return errors.New("no exit status")
	}
	var err error
	if a.status, err = strconv.Atoi(status); err != nil {
		return err
	}
	stderr, err := base64.StdEncoding.DecodeString(before + after)
	a.stderr = strings.TrimSpace(strings.ToValidUTF8(string(stderr), "?"))
	return err
}

func (s *session) lostError() error {
	return lostError(s.node.Name, brief(s.stderr.String()))
}

// Observation returns what the node reported when the session began.
func (s *session) Observation() deploy.Observation { return s.observed }

// Run runs a command; see [deploy.Session]. If the command fails, the error is a
// *[CommandError], and the output is what the command wrote before.
func (s *session) Run(ctx context.Context, user string, input []byte, argv ...string) ([]byte, error) {
	if !isUserName(user) {
		return nil, refused(s.node.Name, fmt.Sprintf("%q is not a user name", user), "run `mage plan`")
	}
	if len(argv) == 0 || argv[0] == "" || argv[0][0] == '-' {
		return nil, fmt.Errorf("node %s: run %q: this is not a command", s.node.Name, argv)
	}
	as := user
	if user == s.node.User {
		as = ""
	}
	a, err := s.request(ctx, "run", input, append([]string{as}, argv...)...)
	if err == nil && a.status != 0 {
		err = &CommandError{s.node.Name, user, argv[0], a.status, a.stderr}
	}
	return a.stdout, err
}

// Lost is closed when ssh ends without [session.Close].
func (s *session) Lost() <-chan struct{} { return s.lost }

// Close ends the session, and frees the lock. It does not wait for a command that
// still runs on the node.
func (s *session) Close() error {
	s.close.Do(func() {
		close(s.closing)
		_ = s.stdin.Close() // the agent's reader ends with it
		select {
		case <-s.ended:
		case <-time.After(2 * time.Second):
			s.signal(syscall.SIGKILL)
			<-s.ended
		}
		_ = s.stdout.Close()
	})
	return nil
}

func (s *session) kill() {
	s.signal(syscall.SIGKILL)
	_ = s.Close()
}

// signal sends a signal to ssh and its ProxyCommand.
func (s *session) signal(signal syscall.Signal) {
	select {
	case <-s.ended: // another process may have its pid by now
	default:
		_ = syscall.Kill(-s.cmd.Process.Pid, signal)
	}
}
