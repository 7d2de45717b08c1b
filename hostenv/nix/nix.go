// Package nix runs Nix for a provider: it evaluates the inventory of the flake,
// locks the sources of environments, names the flake, runs any command of Nix,
// and reads what Nix reports about failures and about its store. It keeps the key
// that closures are signed with.
//
// It works with every Nix from 2.8 on and writes no lock file. It reports all
// errors of a run: one broken project does not hide another. A cancelled context
// ends nix and all processes that nix started. No error and no log holds the
// credentials of a URL.
package nix

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// A Runner runs nix for one provider.
type Runner struct {
	Dir      string      // the provider's root, where its flake.nix is
	Nix      string      // the nix program, "nix" if empty
	Env      []string    // its environment, the process's own if nil
	Progress func(Event) // receives what happens, if not nil; calls do not overlap
	Jobs     int         // how many nix processes may run at once, 4 if zero
	// FetchTime is how long one process may take to fetch sources, 0 for ten minutes.
	FetchTime time.Duration
	// Evaluations is the folder that keeps the results of evaluations, absolute; if it is
	// empty, one in the user's cache does.
	Evaluations string
	// Generated is the folder of the plan, relative to Dir, "generated" if empty. The
	// provider's options do not depend on it.
	Generated string
	Anew      bool // evaluate all anew, also what Evaluations has
	// Wanted reports whether Inventory evaluates a project. If it is nil, all are.
	Wanted func(project string) bool

	progress sync.Mutex
	once     sync.Mutex // for the rest
	version  string
	settings map[string]json.RawMessage
}

// A Phase says what an [Event] is about.
type Phase string

// The phases of work on a plan.
const (
	Evaluate Phase = "evaluate" // a project's environments
	Fetch    Phase = "fetch"    // a source, to lock it
	Building Phase = "build"    // a node's system or an environment
)

// An Event reports that the work on a subject begins.
type Event struct {
	Phase   Phase
	Subject string // the project's input, the source without credentials, or what is built
	Number  int    // of this event in its phase, from 1
	Total   int    // events in this phase, 0 if not known
}

const defaultJobs = 4

// Parallel is how many nix processes may run at once.
func (r *Runner) Parallel() int {
	if r.Jobs <= 0 {
		return defaultJobs
	}
	return r.Jobs
}

// A counter numbers the events of one phase of a run.
type counter struct {
	runner *Runner
	phase  Phase
	mark   string // what a line of progress holds, in an evaluation of customers' code
	total  int
	number int
}

// trace begins the lines of nix that report progress.
func (c *counter) trace() string {
	if c.phase == Evaluate {
		return fmt.Sprintf(traceEvaluate, c.mark)
	}
	return traceFetch
}

func (c *counter) report(subject string) {
	if c == nil || c.runner.Progress == nil {
		return
	}
	c.runner.progress.Lock()
	defer c.runner.progress.Unlock()
	c.number++
	c.runner.Progress(Event{Phase: c.phase, Subject: subject, Number: c.number, Total: c.total})
}
