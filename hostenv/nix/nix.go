// Package nix asks Nix what a plan is made from: the inventory of a provider's
// flake, and the commits that its environments' git refs stand for; and has it
// build what a plan comes to.
//
// It runs the nix command and nothing else; what it returns is plain data. It
// works with every Nix from 2.8 on, writes no lock file, and reports all that
// is wrong at once: one broken project does not hide another. A cancelled
// context ends nix and everything that nix started.
package nix

import (
	"cmp"
	"sync"
)

// A Runner runs nix for one provider.
type Runner struct {
	Dir      string      // the provider's root, where its flake.nix is
	Nix      string      // the nix program, "nix" if empty
	Env      []string    // its environment, the process's own if nil
	Progress func(Event) // told what happens, if not nil; never by two at a time
	Jobs     int         // how many nix processes may run at once, 4 if zero

	progress sync.Mutex
	once     sync.Mutex // for version
	version  string
}

// A Phase says what an [Event] is about.
type Phase string

// The phases of work on a plan.
const (
	Evaluate Phase = "evaluate" // a project's environments
	Fetch    Phase = "fetch"    // a source, to lock it
	Building Phase = "build"    // a node's system or an environment
)

// An Event tells that the work on a subject begins.
type Event struct {
	Phase   Phase
	Subject string // the project's input, the source without credentials, or what is built
	Number  int    // of this event in its phase, from 1
	Total   int    // events in this phase, 0 if not known
}

const defaultJobs = 4

func (r *Runner) jobs() int {
	if r.Jobs <= 0 {
		return defaultJobs
	}
	return r.Jobs
}

// A counter numbers the events of one phase of a run.
type counter struct {
	runner *Runner
	phase  Phase
	total  int
	number int
}

func (c *counter) tell(subject string) {
	if c == nil || c.runner.Progress == nil {
		return
	}
	c.runner.progress.Lock()
	defer c.runner.progress.Unlock()
	c.number++
	c.runner.Progress(Event{Phase: c.phase, Subject: subject, Number: c.number, Total: c.total})
}

func (r *Runner) program() string { return cmp.Or(r.Nix, "nix") }

// Parallel is how many nix processes may run at once.
func (r *Runner) Parallel() int { return r.jobs() }
