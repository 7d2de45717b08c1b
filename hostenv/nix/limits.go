package nix

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A StalledError reports that a command was ended, because its processes read and wrote
// nothing for a time.
type StalledError struct{ For time.Duration }

func (e *StalledError) Error() string { return fmt.Sprintf("it read and wrote nothing for %s", e.For) }

// A LateError reports that a command was ended, because it took too long.
type LateError struct{ After time.Duration }

func (e *LateError) Error() string { return fmt.Sprintf("it did not end within %s", e.After) }

// bound returns a context that ends when the command is over its limits, and a function
// that watches its process.
func (c Command) bound(ctx context.Context) (bounded context.Context, watch func(pid int), cancel context.CancelFunc) {
	bounded, give := context.WithCancelCause(ctx)
	cancel = func() { give(nil) }
	if c.Time > 0 {
		timer := time.AfterFunc(c.Time, func() { give(&LateError{c.Time}) })
		cancel = func() { timer.Stop(); give(nil) }
	}
	watch = func(int) {}
	if c.Stall > 0 {
		watch = func(pid int) { go stalls(bounded, pid, c.Stall, func() { give(&StalledError{c.Stall}) }) }
	}
	return bounded, watch, cancel
}

// stalls calls over if the processes of a session move no byte for a time.
func stalls(ctx context.Context, session int, limit time.Duration, over func()) {
	tick := time.NewTicker(max(limit/20, 50*time.Millisecond))
	defer tick.Stop()
	last, since := int64(-1), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, ok := moved(session)
		switch {
		case !ok: // without /proc we cannot know
			return
		case now != last:
			last, since = now, time.Now()
		case time.Since(since) >= limit:
			over()
			return
		}
	}
}

// moved returns how many bytes the processes of a session have read and written. It does
// not count those of ssh and of what ssh started, which send and get a sign of life every
// few seconds, also if the other side takes no data.
func moved(session int) (bytes int64, ok bool) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(files) == 0 {
		return 0, false
	}
	parents, isSSH := map[int]int{}, map[int]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		// PID (NAME) STATE PARENT GROUP SESSION ..., and the name may hold anything.
		begin, end := strings.IndexByte(string(text), '('), strings.LastIndexByte(string(text), ')')
		fields := strings.Fields(string(text[end+1:]))
		if begin < 0 || end < begin || len(fields) < 4 || fields[3] != strconv.Itoa(session) {
			continue
		}
		pid, _ := strconv.Atoi(strings.TrimSpace(string(text[:begin])))
		parents[pid], _ = strconv.Atoi(fields[1])
		isSSH[pid] = string(text[begin+1:end]) == "ssh"
	}
	for pid := range parents {
		below := false
		for at, known := pid, true; known && !below; at, known = parents[at], parents[at] != 0 {
			below = isSSH[at]
		}
		if !below {
			bytes += bytesOf(pid)
		}
	}
	return bytes, true
}

// bytesOf returns how many bytes a process has read and written, by proc_pid_io(5).
func bytesOf(pid int) (sum int64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0 // it has ended
	}
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(line, ":"); name == "rchar" || name == "wchar" {
			n, _ := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			sum += n
		}
	}
	return sum
}
