package report

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// A Live shows events as they happen. On a terminal each profile that the run works
// on has a live line, which shows the current state and for how long. Results are
// written above the live lines, and stay. Without a terminal every event is a line.
type Live struct {
	w     io.Writer
	size  func() (width, height int) // nil if w is not a terminal
	now   func() time.Time
	mu    sync.Mutex
	at    []row
	drawn int // rows that are on the screen
	stop  chan struct{}
	done  chan struct{}
}

type row struct {
	key, text string
	since     time.Time
}

// NewLive returns a Live that writes to w. size returns the size of the terminal in
// characters; it is nil if w is not a terminal.
func NewLive(w io.Writer, size func() (width, height int), now func() time.Time) *Live {
	l := &Live{w: w, size: size, now: now, stop: make(chan struct{}), done: make(chan struct{})}
	if size == nil {
		close(l.done)
		return l
	}
	go func() {
		defer close(l.done)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-l.stop:
				return
			case <-tick.C:
				l.mu.Lock()
				l.draw()
				l.mu.Unlock()
			}
		}
	}()
	return l
}

// Show shows an event.
func (l *Live) Show(e deploy.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := Line(e)
	if l.size == nil {
		if line != "" {
			fmt.Fprintln(l.w, line)
		}
		return
	}
	if e.Type == deploy.TypeProfile && !e.State.Final() {
		if e.State == deploy.StatePending { // the run does not work on it yet, or a preview has finished with it
			l.drop(e.Node + " " + e.Profile)
		} else {
			l.set(e.Node+" "+e.Profile, states[e.State])
		}
		l.draw()
		return
	}
	if e.Type == deploy.TypeProfile {
		l.drop(e.Node + " " + e.Profile)
	}
	l.erase()
	if line != "" && (e.Type != deploy.TypeNode || e.State == deploy.StateWaiting || e.State == deploy.StateRetrying) {
		fmt.Fprintln(l.w, line)
	}
	l.draw()
}

// Note writes a text that is not an event above the live lines. A text that is
// written to the terminal in another way would be erased with them.
func (l *Live) Note(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.erase()
	fmt.Fprintln(l.w, problem.Indented(text))
	if l.size != nil {
		l.draw()
	}
}

// Close removes the live lines.
func (l *Live) Close() {
	if l.size != nil {
		close(l.stop)
	}
	<-l.done
	l.mu.Lock()
	defer l.mu.Unlock()
	l.erase()
	l.at = nil
}

func (l *Live) set(key, text string) {
	for i := range l.at {
		if l.at[i].key == key {
			if l.at[i].text != text {
				l.at[i].text, l.at[i].since = text, l.now()
			}
			return
		}
	}
	l.at = append(l.at, row{key, text, l.now()})
}

func (l *Live) drop(key string) {
	for i := range l.at {
		if l.at[i].key == key {
			l.at = append(l.at[:i], l.at[i+1:]...)
			return
		}
	}
}

func (l *Live) erase() {
	if l.drawn > 0 {
		fmt.Fprintf(l.w, "\x1b[%dA\r\x1b[J", l.drawn)
	}
	l.drawn = 0
}

// draw writes the rows that fit, and cuts off what is too wide: a row that wraps
// could not be erased.
func (l *Live) draw() {
	width, height := l.size()
	var b strings.Builder
	if l.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\r\x1b[J", l.drawn)
	}
	rows := l.at
	more := 0
	if most := max(height-2, 1); len(rows) > most {
		more = len(rows) - most + 1
		rows = rows[:most-1]
	}
	line := func(text string) {
		if runes := []rune(text); width > 0 && len(runes) >= width {
			text = string(runes[:width-1])
		}
		b.WriteString(text + "\n")
	}
	for _, r := range rows {
		line(fmt.Sprintf("%s: %s %s", r.key, r.text, l.now().Sub(r.since).Truncate(time.Second)))
	}
	if more > 0 {
		line(fmt.Sprintf("and %d more", more))
	}
	l.drawn = len(rows)
	if more > 0 {
		l.drawn++
	}
	_, _ = io.WriteString(l.w, b.String()) // the terminal may be gone
}
