package nix

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Lines by which our own Nix code reports its progress.
const (
	traceEvaluate = "trace: hostenv-provider: evaluating "
	traceFetch    = "trace: hostenv-provider: fetching "
)

// grace is how long nix may take to clear up once it was asked to end.
const grace = 2 * time.Second

// maxLog is how much of what nix writes an error keeps, from the end.
const maxLog = 1 << 20

// A nixError is what nix wrote when it failed, or when its result cannot be used.
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
// writes to standard output and standard error. Progress goes to events. The error is a
// *nixError if nix ran and failed, the context's if that was cancelled.
func (r *Runner) command(ctx context.Context, events *counter, name string, args ...string) (written []byte, log string, err error) {
	// The evaluation cache would repeat an error without its message.
	args = slices.Concat([]string{name, "--json", "--option", "eval-cache", "false"}, Features, args)
	output := &listener{events: events}
	written, err = r.run(ctx, Command{Args: args}, output)
	if err != nil {
		return nil, "", err
	}
	return written, output.log(), nil
}

// Features lets nix commands work where the settings do not have them.
var Features = []string{"--extra-experimental-features", "nix-command flakes"}

// A Command is one run of a program that belongs to Nix.
type Command struct {
	Program string    // "nix" if empty; "nix-store" is looked for beside nix
	Args    []string  // as they are: no flag is added
	Env     []string  // variables that the Runner's Env does not have
	Input   io.Reader // its stdin, if not nil
	Log     io.Writer // receives standard error, line by line, if not nil
}

// A CommandError is what a [Command] wrote when it failed.
type CommandError struct {
	Log string // the end of what it wrote, without secrets in URLs
	Err error  // how it ended
}

func (e *CommandError) Error() string { return cmp.Or(e.Message(), e.Err.Error()) }
func (e *CommandError) Unwrap() error { return e.Err }

// Message returns the error in the log.
func (e *CommandError) Message() string { return message(e.Log) }

// Run runs a command and returns what it writes. The error is a *[CommandError]
// if it ran and failed, and the context's cause if that was cancelled, which
// ends all that the command started.
func (r *Runner) Run(ctx context.Context, c Command) (written []byte, err error) {
	written, err = r.run(ctx, c, &listener{copy: c.Log})
	if failed := (*nixError)(nil); errors.As(err, &failed) {
		return nil, &CommandError{Log: redact(failed.log), Err: failed.err}
	}
	return written, err
}

func (r *Runner) run(ctx context.Context, c Command, output *listener) (written []byte, err error) {
	program, err := r.find(c.Program)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, c.Args...)
	cmd.Dir = r.Dir
	cmd.Env = append(r.environment(), c.Env...)
	cmd.Stdin = c.Input
	// Without a terminal and with a process group of their own, nix, git and ssh
	// are ended together, and none waits for an answer.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return signalGroup(cmd, syscall.SIGTERM) }
	cmd.WaitDelay = grace

	var stdout bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, output
	err = cmd.Run()
	output.end()
	if ctx.Err() != nil {
		// What has not ended by itself within the grace.
		_ = signalGroup(cmd, syscall.SIGKILL)
		return nil, context.Cause(ctx)
	}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return nil, &nixError{log: output.log(), err: err}
	}
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", filepath.Base(program), err)
	}
	return stdout.Bytes(), nil
}

// find returns the path of a program by the PATH of the environment that it will
// have; one of Nix's own where nix is.
func (r *Runner) find(name string) (string, error) {
	nix, err := r.lookPath(r.program())
	if err != nil {
		return "", problem.New("", "run nix: there is no "+r.program(),
			"install Nix 2.8 or newer (https://nixos.org/download), or give an inventory that was evaluated elsewhere")
	}
	if name == "" || name == "nix" {
		return nix, nil
	}
	if strings.HasPrefix(name, "nix-") {
		if path, err := exec.LookPath(filepath.Join(filepath.Dir(nix), name)); err == nil {
			return path, nil
		}
	}
	path, err := r.lookPath(name)
	if err != nil {
		return "", fmt.Errorf("run %s: %w", name, err)
	}
	return path, nil
}

func (r *Runner) lookPath(name string) (string, error) {
	if strings.ContainsRune(name, filepath.Separator) {
		return exec.LookPath(name)
	}
	for _, kv := range slices.Backward(r.Env) { // of two, the last counts
		path, found := strings.CutPrefix(kv, "PATH=")
		if !found {
			continue
		}
		for _, dir := range filepath.SplitList(path) {
			if program, err := exec.LookPath(filepath.Join(dir, name)); err == nil && filepath.IsAbs(dir) {
				return program, nil
			}
		}
		return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
	}
	return exec.LookPath(name)
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

// A listener receives the standard error of nix: it passes progress on, line by
// line, and keeps the rest.
type listener struct {
	events *counter
	copy   io.Writer // receives each line without secrets, if not nil
	line   []byte    // begun and not ended
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
			l.events.report(strings.TrimSpace(subject))
			return
		}
	}
	if l.copy != nil {
		// nix goes on if its log cannot be written.
		_, _ = io.WriteString(l.copy, redact(line)+"\n")
	}
	l.kept = append(l.kept, line...)
	l.kept = append(l.kept, '\n')
	if len(l.kept) > 2*maxLog {
		l.kept = append([]byte(nil), l.kept[len(l.kept)-maxLog:]...)
	}
}

// end takes the last line where no line break ends it.
func (l *listener) end() {
	if len(l.line) > 0 {
		l.take(plain(string(l.line)))
		l.line = nil
	}
}

// log returns what was kept, once nix has ended.
func (l *listener) log() string { return string(l.kept) + plain(string(l.line)) }
