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
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Lines by which our own Nix code reports its progress.
const (
	traceEvaluate = "trace: hostenv-provider %s: evaluating "
	traceFetch    = "trace: hostenv-provider: fetching "
)

// grace is how long nix may take to end after SIGTERM.
const grace = 2 * time.Second

// maxLog is how many bytes of nix's output an error keeps, from the end.
const maxLog = 1 << 20

// command runs `nix NAME --json` with further arguments and returns its standard
// output and standard error. Progress goes to events. The error is that of Run.
func (r *Runner) command(ctx context.Context, events *counter, name string, args ...string) (written []byte, log string, err error) {
	return r.commandFor(ctx, events, Command{}, name, args...)
}

// commandFor is command with the variables and the limits of c.
func (r *Runner) commandFor(ctx context.Context, events *counter, c Command, name string, args ...string) (written []byte, log string, err error) {
	// The evaluation cache would repeat an error without its message.
	c.Args = slices.Concat([]string{name, "--json", "--option", "eval-cache", "false"}, Features, args)
	output := &listener{events: events}
	written, err = r.run(ctx, c, output)
	if err != nil {
		return nil, "", err
	}
	return written, output.log(), nil
}

// Features turns on nix commands and flakes, which the settings may lack.
var Features = []string{"--extra-experimental-features", "nix-command flakes"}

// A Command is one run of a program that belongs to Nix.
type Command struct {
	Program string    // "nix" if empty; "nix-store" is looked for beside nix
	Args    []string  // Run adds no flags
	Env     []string  // variables that the Runner's Env does not have
	Input   io.Reader // its stdin, if not nil
	Log     io.Writer // receives standard error, line by line, if not nil
	// Time is how long it may take, and Stall how long its processes may read and write
	// nothing, without those of ssh. 0 is no limit. Stall needs Linux; elsewhere it has no
	// effect.
	Time, Stall time.Duration
	Peak        *int64 // receives the most memory that it had, in bytes, if not nil
}

// A CommandError reports that a [Command] failed.
type CommandError struct {
	Log string // the end of its standard error, without secrets in URLs
	Err error  // how it ended
}

func (e *CommandError) Error() string { return cmp.Or(e.Message(), e.Err.Error()) }
func (e *CommandError) Unwrap() error { return e.Err }

// Hint returns what to do if the error is about this machine: a full disk, a repository
// of another user.
func (e *CommandError) Hint() string { return localAdvice(e.Message()) }

// Message returns the error in the log.
func (e *CommandError) Message() string { return message(e.Log) }

// Run runs a command and returns its standard output. The error is a
// *[CommandError] if the command ran and failed, or the context's cause if that
// was cancelled, or a *[LateError] or *[StalledError]. A cancelled context and a limit end
// all processes of the command.
func (r *Runner) Run(ctx context.Context, c Command) (written []byte, err error) {
	return r.run(ctx, c, &listener{copy: c.Log})
}

func (r *Runner) run(ctx context.Context, c Command, output *listener) (written []byte, err error) {
	program, err := r.find(c.Program)
	if err != nil {
		return nil, err
	}
	ctx, watch, cancel := c.bound(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, c.Args...)
	cmd.Dir = r.Dir
	// Git must fail and not ask for a password.
	cmd.Env = slices.Concat(r.environment(), []string{"GIT_TERMINAL_PROMPT=0"}, c.Env)
	cmd.Stdin = c.Input
	newGroup(cmd)

	var stdout bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, output
	if err = cmd.Start(); err == nil {
		watch(cmd.Process.Pid)
		err = cmd.Wait()
	}
	output.end()
	if c.Peak != nil && cmd.ProcessState != nil {
		*c.Peak = peakOf(cmd.ProcessState)
	}
	if ctx.Err() != nil {
		// Kill the processes that did not end within the grace.
		killGroup(cmd)
		return nil, context.Cause(ctx)
	}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return nil, &CommandError{Log: redact(output.log()), Err: err}
	}
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", filepath.Base(program), err)
	}
	return stdout.Bytes(), nil
}

// find returns the path of a program. It looks in the PATH that the program will
// have, and for Nix's own programs beside nix.
func (r *Runner) find(name string) (string, error) {
	program := cmp.Or(r.Nix, "nix")
	nix, err := r.lookPath(program)
	if err != nil {
		return "", problem.New("", "run nix: there is no "+program,
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

// environment returns r.Env, or the process's own environment.
func (r *Runner) environment() []string {
	if r.Env != nil {
		return r.Env
	}
	return os.Environ()
}

// newGroup lets nix, git and ssh run in their own process group, to end together,
// and without a terminal, so that they cannot wait for an answer.
func newGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return signalGroup(cmd, syscall.SIGTERM) }
	cmd.WaitDelay = grace
}

// peakOf returns the most memory that a process that has ended had, in bytes.
func peakOf(ended *os.ProcessState) int64 {
	usage, ok := ended.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return usage.Maxrss
	}
	return usage.Maxrss << 10
}

func killGroup(cmd *exec.Cmd) { _ = signalGroup(cmd, syscall.SIGKILL) }

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
	line   []byte    // the line that has not ended yet
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
	if l.events != nil {
		if subject, ok := strings.CutPrefix(line, l.events.trace()); ok {
			l.events.report(strings.TrimSpace(subject))
			return
		}
	}
	if l.copy != nil {
		// A failure to write the log does not stop nix.
		_, _ = io.WriteString(l.copy, redact(line)+"\n")
	}
	l.kept = append(l.kept, line...)
	l.kept = append(l.kept, '\n')
	if len(l.kept) > 2*maxLog {
		l.kept = append([]byte(nil), l.kept[len(l.kept)-maxLog:]...)
	}
}

// end handles a last line without a line break.
func (l *listener) end() {
	if len(l.line) > 0 {
		l.take(plain(string(l.line)))
		l.line = nil
	}
}

// log returns the lines that were kept. Call it after nix has ended.
func (l *listener) log() string { return string(l.kept) + plain(string(l.line)) }
