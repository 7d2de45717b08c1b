package endtoend_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/report"
	"github.com/woolwichweb/hostenv-provider/internal/fleet"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// A process is a run of the program that has not ended.
type process struct {
	*exec.Cmd
	w      *world
	out    [2]*os.File
	before int           // how many events the newest journal had
	run    string        // the run of that journal
	ended  chan struct{} // closed when the process has ended
}

// start begins a run of the program, in a process group of its own.
func (w *world) start(args ...string) *process {
	w.t.Helper()
	p := &process{Cmd: w.command(args...), w: w, ended: make(chan struct{})}
	for i := range p.out {
		file, err := os.CreateTemp(w.t.TempDir(), "output")
		if err != nil {
			w.t.Fatal(err)
		}
		p.out[i] = file
	}
	p.Stdout, p.Stderr = p.out[0], p.out[1]
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.run, p.before = w.newest()
	if err := p.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		_ = p.Wait() // its status is in ProcessState
		close(p.ended)
	}()
	w.t.Cleanup(func() {
		select {
		case <-p.ended:
		default:
			_ = p.Process.Kill()
			<-p.ended
		}
	})
	return p
}

// newest returns the newest run, and the number of events in its journal.
func (w *world) newest() (string, int) {
	ids, err := deploy.Runs(w.runs())
	if err != nil {
		w.t.Fatal(err)
	}
	if len(ids) == 0 {
		return "", 0
	}
	id := ids[len(ids)-1]
	events, err := deploy.ReadJournal(w.runs(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return id, len(events)
}

// events returns the events of this process.
func (p *process) events() []deploy.Event {
	id, _ := p.w.newest()
	if id == "" {
		return nil
	}
	events, err := deploy.ReadJournal(p.w.runs(), id)
	if err != nil {
		p.w.t.Fatal(err)
	}
	if id == p.run {
		events = events[p.before:]
	}
	return events
}

// until waits until a condition is true, and reports whether the process ended
// before that.
func (p *process) until(what string, is func() bool) (ended bool) {
	p.w.t.Helper()
	so := false
	if !testenv.Poll(func() bool {
		so = is()
		select {
		case <-p.ended:
			so, ended = so || is(), true
		default:
		}
		return so || ended
	}) {
		p.w.t.Fatalf("%s does not come: %s", what, p.result())
	}
	return !so
}

// wait waits until the process ends.
func (p *process) wait() result {
	p.w.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(2 * testenv.Patience):
		p.w.t.Fatalf("the run does not end: %s", p.result())
	}
	return p.result()
}

func (p *process) result() result {
	code := -1
	select {
	case <-p.ended:
		code = p.ProcessState.ExitCode()
	default:
	}
	var text [2]string
	for i, file := range p.out {
		data, err := os.ReadFile(file.Name())
		if err != nil {
			p.w.t.Fatal(err)
		}
		text[i] = string(data)
	}
	return result{text[0], text[1], code}
}

func (p *process) signal(s syscall.Signal) { _ = p.Process.Signal(s) }

// family returns a process and all its descendants.
func family(pid int) []int {
	children := map[int][]int{}
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		stat, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "stat"))
		id, notANumber := strconv.Atoi(entry.Name())
		if err != nil || notANumber != nil {
			continue
		}
		if fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])); len(fields) > 1 {
			parent, _ := strconv.Atoi(fields[1])
			children[parent] = append(children[parent], id)
		}
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// kill kills the process with SIGKILL: alone, or with its descendants, as when its
// machine loses power.
func (p *process) kill(withFamily bool) {
	if withFamily {
		_ = p.Process.Signal(syscall.SIGSTOP) // so that it starts no other process
		killed := map[int]bool{}
		for again := true; again; {
			again = false
			for _, pid := range family(p.Process.Pid)[1:] {
				if !killed[pid] {
					killed[pid], again = true, true
					_ = syscall.Kill(pid, syscall.SIGSTOP)
				}
			}
		}
		for pid := range killed {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	_ = p.Process.Kill()
	<-p.ended
}

// truth returns the path of every profile, by node/profile, as the nodes have it.
// It leaves out profiles that lead to no store path.
func (w *world) truth(but ...string) map[string]string {
	all := map[string]string{}
	w.each(func(n *fleet.Node, profile string) {
		key := n.Name + "/" + profile
		for _, b := range but {
			if b == key {
				return
			}
		}
		all[key] = n.Active(w.t, profile)
	})
	return all
}

// counts returns how often each profile activated its path in paths.
func (w *world) counts(paths map[string]string) map[string]int {
	all := map[string]int{}
	w.each(func(n *fleet.Node, profile string) {
		key := n.Name + "/" + profile
		all[key] = n.Activated(w.t, profile, paths[key])
	})
	return all
}

// agrees compares all reports of a run with the nodes: the journal, the summary,
// the exit code, and `mage status` afterwards.
func (w *world) agrees(r result, planned map[string]string, but ...string) deploy.Outcome {
	w.t.Helper()
	truth, o := w.truth(but...), w.outcome()
	if o.Ended && o.Code() != r.code {
		w.t.Errorf("the journal has exit code %d: %s", o.Code(), r)
	}
	summaries := map[string][2]string{} // state and path in the summary
	for line := range strings.Lines(r.stdout) {
		if f := strings.Fields(line); len(f) >= 4 && strings.Contains(line, "  ") {
			summaries[f[0]+"/"+f[1]] = [2]string{f[2], f[len(f)-1]}
		}
	}
	for _, p := range o.Profiles {
		key := p.Node + "/" + p.Profile
		at, known := truth[key]
		if !known {
			continue
		}
		summary := summaries[key]
		if summary[0] != string(p.State) && summary[0] != string(p.State)+"," {
			w.t.Errorf("the journal has %s %s, the summary %q", key, p.State, summary[0])
		}
		switch p.State {
		case deploy.StateInSync, deploy.StateActive:
			if at != p.Want || at != planned[key] {
				w.t.Errorf("%s is reported as %s, but is at %q", key, p.State, at)
			}
		case deploy.StateFailed, deploy.StateSkipped:
			if at != p.Active {
				w.t.Errorf("%s (%s) is reported at %q, but is at %q", key, p.State, p.Active, at)
			}
			if p.State == deploy.StateFailed && p.Error == "" {
				w.t.Errorf("%s failed without a reason", key)
			}
		case deploy.StateUnknown, deploy.StateUnreachable:
			at = ""
			if summary[1] != "unknown" {
				w.t.Errorf("%s (%s) is reported at %s", key, p.State, summary[1])
			}
		default:
			w.t.Errorf("%s ends in %s", key, p.State)
		}
		if at != "" && summary[1] != report.Short(at) {
			w.t.Errorf("the summary has %s at %s, but it is at %s", key, summary[1], at)
		}
	}
	if len(summaries) > 0 {
		contains(w.t, r.stdout, report.Total(o))
	}
	for _, f := range o.Findings {
		if f.Finding.Level == deploy.Failure && f.Finding.Hint == "" {
			w.t.Errorf("no hint for %q", f.Finding.Message)
		}
	}
	if w.t.Failed() {
		w.t.Logf("the run: %s", r)
	}
	return o
}

// statusAgrees compares `mage status` with the nodes.
func (w *world) statusAgrees(planned map[string]string, but ...string) {
	w.t.Helper()
	truth, r := w.truth(but...), w.run("status", "-json")
	left, drift, refused := maps.Clone(truth), len(but) > 0, false
	for line := range strings.Lines(r.stdout) {
		var s deploy.Status
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			w.t.Fatalf("%v: %s", err, r)
		}
		key := s.Node + "/" + s.Profile
		at, known := truth[key]
		if !known {
			if s.Standing != deploy.StandingForeign {
				w.t.Errorf("status has the foreign profile %s as %s", key, s.Standing)
			}
			continue
		}
		delete(left, key)
		drift = drift || s.Standing != deploy.StandingInSync
		switch s.Standing {
		case deploy.StandingUnreachable:
			if s.Active != "" {
				w.t.Errorf("status has the unreachable %s at %s", key, s.Active)
			}
			refused = refused || strings.Contains(s.Detail, "host key")
			continue
		case deploy.StandingInSync:
			if at != planned[key] || !w.cameUp(s.Node, s.Profile, at) {
				w.t.Errorf("status has %s in sync, but it is at %q", key, at)
			}
		case deploy.StandingBroken:
			if s.Planned != "" {
				w.t.Errorf("status has the broken %s with a plan", key)
			}
		default:
			if at == planned[key] && w.cameUp(s.Node, s.Profile, at) {
				w.t.Errorf("status has %s as %s (%s), but it is in sync", key, s.Standing, s.Detail)
			}
		}
		if s.Active != at {
			w.t.Errorf("status has %s at %q, but it is at %q", key, s.Active, at)
		}
	}
	want := deploy.ExitDone
	switch {
	case refused: // this does not depend on where profiles are
		want = deploy.ExitFailed
	case drift:
		want = deploy.ExitChanges
	}
	if len(left) > 0 || r.code != want {
		w.t.Errorf("status left out %v: %s", left, r)
	}
}

// cameUp reports whether the last activation of the active path succeeded.
func (w *world) cameUp(node, profile, path string) bool {
	for _, n := range w.Nodes {
		if n.Name != node {
			continue
		}
		all := n.Activations(w.t, profile)
		return len(all) == 0 || all[len(all)-1].Ended && all[len(all)-1].Status == 0 && all[len(all)-1].Path == path
	}
	return false
}

// lockFile returns the path at which this process finds a node's deploy lock.
func lockFile(n *fleet.Node) string { return n.Path("/var/lib/deploy/.hostenv-deploy/lock") }

// takeLock takes a node's deploy lock as another operator does.
func takeLock(t testing.TB, n *fleet.Node) (free func(), ok bool) {
	t.Helper()
	file, err := os.OpenFile(lockFile(n), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return func() {}, true
	}
	if err == nil {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		_ = file.Close()
		return nil, false
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() { _ = file.Close() }, true
}
