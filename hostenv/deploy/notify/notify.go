// Package notify runs the provider's own command (provider.notify) when a deploy begins,
// when the first profile of it fails, and when it ends.
//
// The command gets on its standard input the events of the run so far, as `mage deploy
// -json` prints them, and in its environment HOSTENV_NOTIFY (start, failure or end) and
// HOSTENV_RUN (the id of the run). It is bounded in time. The deploy does not wait for
// it, except at the end, and a failure of it is only reported.
package notify

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Options are what a Notifier needs.
type Options struct {
	// Command is a program and its arguments. A program with a slash in its name is
	// relative to Dir, another one is on the PATH.
	Command []string
	Dir     string            // where it runs: the root of the provider's repository
	Limit   time.Duration     // how long it may take each time, 0 for 30 seconds
	Warn    func(text string) // gets each failure; it must be safe for concurrent use
}

// A Notifier notifies of one run.
type Notifier struct {
	Options

	mu     sync.Mutex
	lines  bytes.Buffer // the events so far
	run    string       // its id
	begun  bool
	failed bool
	over   bool // no further moment is queued

	queue chan moment
	done  chan struct{} // closed when all of the queue was notified of
	stop  context.CancelFunc
}

// A moment is one time to run the command.
type moment struct {
	what, run string
	stdin     []byte
}

// The moments.
const (
	start   = "start"
	failure = "failure"
	end     = "end"
)

// impatience is how long the command may take once the run was interrupted twice.
const impatience = 5 * time.Second

// New returns a Notifier. It does nothing without a command. The command goes on if ctx
// ends, see Close.
func New(ctx context.Context, o Options) *Notifier {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	n := &Notifier{Options: o, queue: make(chan moment, 3), done: make(chan struct{}), stop: stop} // one for each moment
	go func() {
		defer close(n.done)
		for m := range n.queue {
			if err := n.notify(ctx, m); err != nil && n.Warn != nil {
				n.Warn(err.Error())
			}
		}
	}()
	return n
}

// Event takes the next event of the run. It does not wait for the command.
func (n *Notifier) Event(e deploy.Event) {
	if len(n.Command) == 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	// A resumed journal begins with an older line.
	if n.lines.Len() == 0 && e.Type != deploy.TypeVersion {
		n.lines.Write(deploy.Event{Type: deploy.TypeVersion, Events: deploy.EventsVersion}.Encode())
	}
	n.lines.Write(e.Encode())
	n.run = cmp.Or(e.Run, n.run)
	switch {
	case n.over:
	case e.Type == deploy.TypeRun || e.Type == deploy.TypeResume:
		n.begun = true
		n.add(start)
	case e.Type == deploy.TypeProfile && (e.State == deploy.StateFailed || e.State == deploy.StateUnknown) && n.begun && !n.failed:
		n.failed = true
		n.add(failure)
	case e.Type == deploy.TypeEnd && n.begun:
		n.over = true
		n.add(end)
	}
}

// add queues a moment. The caller holds mu.
func (n *Notifier) add(what string) {
	n.queue <- moment{what, n.run, bytes.Clone(n.lines.Bytes())}
}

// Close waits until the command was run for the end, also of a run that died from an
// error. If ctx ends, it does not wait for long.
func (n *Notifier) Close(ctx context.Context) {
	n.mu.Lock()
	if n.begun && !n.over {
		n.add(end)
	}
	n.over = true
	close(n.queue)
	n.mu.Unlock()
	select {
	case <-n.done:
	case <-ctx.Done():
		timer := time.AfterFunc(impatience, n.stop)
		<-n.done
		timer.Stop()
	}
	n.stop()
}

// notify runs the command once.
func (n *Notifier) notify(ctx context.Context, m moment) error {
	limit := cmp.Or(n.Limit, 30*time.Second)
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	output := &tail{}
	cmd := exec.CommandContext(limited, n.Command[0], n.Command[1:]...)
	cmd.Dir = n.Dir
	cmd.Env = append(os.Environ(), "HOSTENV_NOTIFY="+m.what, "HOSTENV_RUN="+m.run)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(m.stdin), output, output
	// A session of its own: no terminal to ask a question at, and no Ctrl-C from there.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // for what it left behind, and which keeps its output open
	err := cmd.Run()
	switch {
	case err == nil || errors.Is(err, exec.ErrWaitDelay): // it ended well itself
		return nil
	case ctx.Err() != nil:
		err = errors.New("it was stopped")
	case limited.Err() != nil:
		err = fmt.Errorf("it did not end within %s", limit)
	}
	text := fmt.Sprintf("provider.notify (%s) failed at the %s: %v", n.Command[0], m.what, err)
	if last := output.line(); last != "" {
		text += ": " + last
	}
	return errors.New(problem.Line(text))
}

// A tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

const tailSize = 1 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - tailSize; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(p), nil
}

// line returns the last line that is not empty, at most 300 characters of it.
func (t *tail) line() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(strings.ToValidUTF8(string(t.kept), "?")), "\n")
	line := []rune(lines[len(lines)-1])
	return string(line[:min(len(line), 300)])
}
