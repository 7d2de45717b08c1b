package targets

import (
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"

	"golang.org/x/term"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/report"
)

// shown shows the progress of a deploy: events as JSON on standard output, or
// lines for people on standard error.
type shown struct {
	json  bool
	begun bool // whether the first line is written
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
		// A resumed journal begins with an older line.
		if !s.begun && e.Type != deploy.TypeVersion {
			_, _ = os.Stdout.Write(deploy.Event{Type: deploy.TypeVersion, Events: deploy.EventsVersion}.Encode())
		}
		s.begun = true
		_, _ = os.Stdout.Write(e.Encode()) // if the reader has ended, the journal has the event
		return
	}
	s.live.Show(e)
}

func (s *shown) phase(text string) {
	if !s.json {
		s.say(text)
	}
}

func (s *shown) warn(text string) { s.say("warning: " + text) }

// say shows a line that is not an event.
func (s *shown) say(text string) {
	if s.json {
		fmt.Fprintln(stderr(), problem.Visible(text))
		return
	}
	s.live.Note(text)
}
