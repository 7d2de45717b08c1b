package nix

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Lines by which our own Nix code tells what it is doing.
const (
	traceEvaluate = "trace: hostenv-provider: evaluating "
	traceFetch    = "trace: hostenv-provider: fetching "
)

// grace is how long nix may take to clear up once it was asked to end.
const grace = 2 * time.Second

// maxLog is how much of what nix says is kept for an error, from its end.
const maxLog = 1 << 20

// A nixError is what nix said when it failed, or when what it did is of no use.
type nixError struct {
	log string
	err error
}

func (e *nixError) Error() string { return fmt.Sprintf("nix: %v: %s", e.err, message(e.log)) }
func (e *nixError) Unwrap() error { return e.err }

// eval runs `nix eval --json`, see command.
func (r *Runner) eval(ctx context.Context, events *counter, args ...string) (written []byte, log string, err error) {
	return r.command(ctx, events, "eval", args...)
}

// command runs `nix NAME --json` with further arguments and returns what it
// writes, and what it says meanwhile. Progress goes to events. The error is a
// *nixError if nix ran and failed, the context's if that was cancelled.
func (r *Runner) command(ctx context.Context, events *counter, name string, args ...string) (written []byte, log string, err error) {
	args = append([]string{
		name, "--json",
		"--extra-experimental-features", "nix-command flakes",
		// A cache of evaluations would repeat an error without its message.
		"--option", "eval-cache", "false",
	}, args...)
	program, err := exec.LookPath(r.program())
	if err != nil {
		return nil, "", &NotInstalledError{Program: r.program()}
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = r.Dir
	cmd.Env = r.environment()
	// Without a terminal and with a process group of their own, nix, git and ssh
	// are ended together, and none stops to ask what nobody can answer.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return signalGroup(cmd, syscall.SIGTERM) }
	cmd.WaitDelay = grace

	var stdout bytes.Buffer
	said := &listener{events: events}
	cmd.Stdout, cmd.Stderr = &stdout, said
	err = cmd.Run()
	if ctx.Err() != nil {
		// What has not ended by itself within the grace.
		_ = signalGroup(cmd, syscall.SIGKILL)
		return nil, "", context.Cause(ctx)
	}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return nil, "", &nixError{log: said.log(), err: err}
	}
	if err != nil {
		return nil, "", fmt.Errorf("run nix: %w", err)
	}
	return stdout.Bytes(), said.log(), nil
}

func (r *Runner) environment() []string {
	env := r.Env
	if env == nil {
		env = os.Environ()
	}
	// Git must fail where it would ask.
	return append(env[:len(env):len(env)], "GIT_TERMINAL_PROMPT=0")
}

func signalGroup(cmd *exec.Cmd, signal syscall.Signal) error {
	if cmd.Process == nil || syscall.Kill(-cmd.Process.Pid, signal) != nil {
		return os.ErrProcessDone
	}
	return nil
}

// A listener is written what nix says: it passes progress on, line by line, and
// keeps the rest.
type listener struct {
	events *counter
	line   []byte // begun and not ended
	kept   []byte
}

func (l *listener) Write(text []byte) (int, error) {
	l.line = append(l.line, text...)
	for {
		line, rest, ended := bytes.Cut(l.line, []byte("\n"))
		if !ended {
			return len(text), nil
		}
		l.take(plain(string(line)))
		l.line = rest
	}
}

func (l *listener) take(line string) {
	for _, trace := range []string{traceEvaluate, traceFetch} {
		if subject, ok := strings.CutPrefix(line, trace); ok {
			l.events.tell(strings.TrimSpace(subject))
			return
		}
	}
	l.kept = append(l.kept, line...)
	l.kept = append(l.kept, '\n')
	if len(l.kept) > 2*maxLog {
		l.kept = append([]byte(nil), l.kept[len(l.kept)-maxLog:]...)
	}
}

// log returns what was kept, once nix has ended.
func (l *listener) log() string { return string(l.kept) + plain(string(l.line)) }
