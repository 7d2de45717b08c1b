package nix

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Turns starts processes that need much memory: as many at once as there are
// processors, or as the Runner's Jobs says, and as the free memory has room for.
//
// What each process needed is kept beside the results of evaluations, and is what the
// next run expects of it.
type Turns struct {
	memory memory
	jobs   int
	free   int64 // bytes for all processes together

	mu      sync.Mutex
	changed *sync.Cond
	running int
	alone   int              // processes that run or wait to run alone
	used    int64            // bytes that the running ones are expected to need
	peaks   map[string]int64 // bytes, by the name of the process
}

// unknownPeak is what a process is expected to need of which nothing is known: the
// evaluation of a system takes 0.2 to 2 GB.
const unknownPeak = 1 << 30

// NewTurns returns the turns of a run.
func (r *Runner) NewTurns() *Turns {
	t := &Turns{memory: r.memory(), jobs: r.Jobs, free: freeMemory(), peaks: map[string]int64{}}
	t.changed = sync.NewCond(&t.mu)
	if t.jobs <= 0 {
		t.jobs = runtime.NumCPU()
	}
	if text, err := os.ReadFile(t.memory.peaks()); err == nil && json.Unmarshal(text, &t.peaks) != nil {
		t.peaks = map[string]int64{} // the file is not whole, and is written anew
	}
	return t
}

// Do waits for the turn of a process and runs it. do returns the most memory that the
// process had, in bytes. If the process was killed, as a kernel without memory does it,
// Do runs it once more, when no other runs.
func (t *Turns) Do(ctx context.Context, name string, do func() (peak int64, err error)) error {
	err := t.turn(name, false, do)
	if !IsKilled(err) || ctx.Err() != nil {
		return err
	}
	return t.turn(name, true, do)
}

func (t *Turns) turn(name string, alone bool, do func() (int64, error)) error {
	needs := t.enter(name, alone)
	peak, err := do()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running--
	t.used -= needs
	if alone {
		t.alone--
	}
	if IsKilled(err) {
		peak *= 2 // it would have needed more
	}
	if peak > 0 {
		t.peaks[name] = peak
	}
	t.changed.Broadcast()
	return err
}

// enter waits until a process may start, and returns the memory that it is expected to
// need.
func (t *Turns) enter(name string, alone bool) (needs int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if needs = t.peaks[name]; needs == 0 {
		needs = unknownPeak
	}
	if alone {
		t.alone++
	}
	for t.running > 0 && (alone || t.alone > 0 || t.running >= t.jobs || t.used+needs > t.free) || !alone && t.alone > 0 {
		t.changed.Wait()
	}
	t.running++
	t.used += needs
	return needs
}

// Keep keeps what the processes of this run needed, for the next one. Without it, the
// next run expects what it would of a new process.
func (t *Turns) Keep() {
	t.mu.Lock()
	defer t.mu.Unlock()
	text, err := json.Marshal(t.peaks)
	if err == nil {
		t.memory.write(t.memory.peaks(), text)
	}
}

// IsKilled reports whether a process ended by SIGKILL, or because it got no memory.
func IsKilled(err error) bool {
	failed := (*CommandError)(nil)
	if !errors.As(err, &failed) {
		return false
	}
	if exit := (*exec.ExitError)(nil); errors.As(failed.Err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && (status.Signaled() && status.Signal() == syscall.SIGKILL || status.ExitStatus() == 128+int(syscall.SIGKILL)) {
			return true
		}
	}
	return lacksMemory(failed.Log)
}

// freeMemory returns the bytes that processes can have: of the machine, and of the
// cgroup of this process if that has less.
func freeMemory() int64 {
	free := int64(1) << 62
	text, _ := os.ReadFile("/proc/meminfo") // elsewhere than on Linux nothing is known
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
			if kb, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64); err == nil {
				free = kb << 10
			}
		}
	}
	own, _ := os.ReadFile("/proc/self/cgroup")
	_, name, _ := strings.Cut(strings.TrimSpace(string(own)), "0::")
	number := func(file string) (int64, bool) {
		text, err := os.ReadFile(file)
		if err != nil {
			return 0, false
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		return n, err == nil // "max" is no number
	}
	for at := filepath.Join("/sys/fs/cgroup", name); strings.HasPrefix(at, "/sys/fs/cgroup"); at = filepath.Dir(at) {
		limit, limited := number(filepath.Join(at, "memory.max"))
		used, known := number(filepath.Join(at, "memory.current"))
		if limited && known {
			free = min(free, limit-used)
		}
	}
	return free
}
