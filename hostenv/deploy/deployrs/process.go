package deployrs

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// script runs a command, "$2" and so on, and writes its exit status to the file
// "$1" once all processes of the command have ended.
//
// deploy-rs leaves a process behind when it fails. It may be the ssh that waits for
// an activation which has failed: that would wait for long, so the script ends it.
// Or it may be the ssh that activates, if the wait was cut short. The script waits
// until that one closes its output, because the outcome is decided only when the
// node has finished.
//
// Signals go to the whole group. The shell ignores them, so that it can still
// write the exit status.
const script = `
status=$1
shift
trap : HUP INT TERM
{
	trap : HUP INT TERM
	"$@" </dev/null
	code=$?
	pkill -g "$$" -f "^(/[^ ]*/)?ssh .*/activate-rs wait '"
	printf '%s\n' "$code" >"$status.new"
} 2>&1 | (
	trap '' HUP INT TERM
	exec cat
)
mv -f -- "$status.new" "$status"
`

// run runs a command in a session of its own and returns its exit status.
func (a *Activator) run(ctx context.Context, dir, status string, log io.Writer, argv []string) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	output, follow, err := outputFor(dir, log)
	if err != nil {
		return 0, err
	}
	cmd := exec.Command("sh", append([]string{"-c", script, "hostenv-activate", status}, argv...)...)
	cmd.Dir = dir
	cmd.Env = a.environment(dir)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.ExtraFiles = a.Inherit
	// Without a terminal no process of the activation can ask a question there, or
	// get a stop or hangup signal from it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return 0, errors.Join(err, follow())
	}
	done := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop(ctx, done, cmd.Process.Pid, a.Grace)
	}()
	err = cmd.Wait()
	close(done)
	<-stopped
	if err := errors.Join(err, follow()); err != nil {
		return 0, err
	}
	code := deploy.ExitStatus(status)
	if code == nil {
		return 0, errors.New("it left no exit status")
	}
	return *code, nil
}

// stop ends a group of processes when ctx ends: with SIGINT, and with SIGKILL
// after grace.
func stop(ctx context.Context, done <-chan struct{}, group int, grace time.Duration) {
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	_ = syscall.Kill(-group, syscall.SIGINT)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
	_ = syscall.Kill(-group, syscall.SIGKILL)
}

// outputFor returns the file that a command writes to, and a function to call when
// the command has ended. A pipe would break if this process dies, so the command
// always writes to a file; if log is not a file, it gets a copy.
func outputFor(dir string, log io.Writer) (*os.File, func() error, error) {
	if file, ok := log.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			return file, func() error { return nil }, nil
		}
	}
	path := filepath.Join(dir, outputLog)
	output, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, err
	}
	reader, err := os.Open(path)
	if err != nil {
		return nil, nil, errors.Join(err, output.Close())
	}
	done, copied := make(chan struct{}), make(chan error, 1)
	go func() { copied <- follow(log, reader, done) }()
	return output, func() error {
		close(done)
		return errors.Join(<-copied, reader.Close(), output.Close())
	}, nil
}

// follow copies the content of a file, and what is added to it until done is
// closed.
func follow(to io.Writer, from io.Reader, done <-chan struct{}) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-done:
			_, err := io.Copy(to, from)
			return err
		case <-tick.C:
			if _, err := io.Copy(to, from); err != nil {
				return err
			}
		}
	}
}
