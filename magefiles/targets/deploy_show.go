package targets

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"os/user"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/report"
)

// shown shows a deploy as it goes: events as JSON on standard output, or for
// people on standard error.
type shown struct {
	json  bool
	begun bool // whether the first line is out
	live  *report.Live
	done  func()
}

func newShown(json bool) *shown {
	s := &shown{json: json, done: func() {}}
	if !json {
		var size func() (int, int)
		if terminal(os.Stderr) {
			size = func() (int, int) {
				width, height, err := term.GetSize(int(os.Stderr.Fd()))
				if err != nil {
					return 80, 24
				}
				return width, height
			}
		}
		s.live = report.NewLive(os.Stderr, size, time.Now)
		s.done = sync.OnceFunc(s.live.Close)
	}
	return s
}

func (s *shown) event(e deploy.Event) {
	if s.json {
		// The journal of a run that is taken up begins with an older line.
		if !s.begun && e.Type != deploy.TypeVersion {
			_, _ = os.Stdout.Write(deploy.Event{Type: deploy.TypeVersion, Events: deploy.EventsVersion}.Encode())
		}
		s.begun = true
		_, _ = os.Stdout.Write(e.Encode()) // the journal has it, whoever does not read on
		return
	}
	s.live.Show(e)
}

func (s *shown) phase(text string) {
	if !s.json {
		fmt.Fprintln(os.Stderr, text)
	}
}

func (s *shown) warn(text string) { fmt.Fprintln(os.Stderr, "warning:", text) }

// holder says who deploys, for others to read.
func holder(run string) string {
	name := "somebody"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, _ := os.Hostname()
	text := fmt.Sprintf("%s@%s, process %d", name, host, os.Getpid())
	if run != "" {
		text += ", run " + run
	}
	return text
}

func cutOnce(pair string) (before, after string, ok bool) {
	before, after, ok = strings.Cut(pair, "=")
	return before, after, ok && before != "" && after != "" && !strings.Contains(after, "=")
}

// interrupts takes Ctrl-C and SIGTERM over from Mage, which would end the
// process five seconds later. The first one ends gentle, for what can be given up
// at any time; the second one ends ctx. When the time of Mage's -t is up it ends
// the process at once, which is for nobody here to stop.
func interrupts(mage context.Context) (ctx, gentle context.Context, release func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(mage))
	gentle, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	signals := make(chan os.Signal, 2)
	signal.Reset(os.Interrupt)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		for count := 0; ; {
			select {
			case <-ended:
				return
			case <-signals:
				count++
			}
			switch count {
			case 1:
				fmt.Fprintln(os.Stderr, "interrupted: an activation that was begun is brought to its end, and nothing else is begun; once more stops at once")
				stop()
			default:
				cancel()
			}
		}
	}()
	return ctx, gentle, func() {
		signal.Stop(signals)
		close(ended)
		cancel()
	}
}
