// Package endtoend_test runs the compiled targets against a fleet of nodes that are
// as real as possible on one machine: see internal/fleet.
package endtoend_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/internal/deployrs"
	"github.com/woolwichweb/hostenv-provider/internal/fleet"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

func TestMain(m *testing.M) {
	// Under nohup the program would also ignore SIGHUP.
	if signal.Ignored(syscall.SIGHUP) {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	fleet.Main(m, program, deployrs.Programs)
}

// program is the binary that Mage compiles from the targets.
var program = testenv.Targets("../../..")

// A world is a fleet, and the operator that deploys to it.
type world struct {
	*fleet.Fleet
	t        testing.TB
	binary   string
	deployRs string   // the program `deploy`
	env      []string // additional environment variables
	restic   string   // the command with which nodes call restic, see movable

	profiles map[*fleet.Node][]string // when the fleet began
	once     sync.Once
}

// standIn returns the stand-in for deploy-rs, if this machine can run a fleet.
func standIn(t testing.TB) string {
	t.Helper()
	fleet.Need(t)
	return deployrs.Build(t)
}

// backEnds returns the stand-in for deploy-rs, and deploy-rs itself if installed.
func backEnds(t *testing.T, test func(t *testing.T, programs string)) {
	t.Run("stand-in", func(t *testing.T) { test(t, standIn(t)) })
	t.Run("deploy-rs", func(t *testing.T) { test(t, testenv.Need(t, "deploy-rs")) })
}

func newWorld(t testing.TB, programs string, options fleet.Options) *world {
	t.Helper()
	options.ActivateRS = filepath.Join(programs, "activate")
	f := fleet.Start(t, options)
	binary := filepath.Join(testenv.Built(t, program), "hostenv-provider")
	w := &world{Fleet: f, t: t, binary: binary, deployRs: filepath.Join(programs, "deploy"), profiles: map[*fleet.Node][]string{}}
	for _, n := range w.Nodes {
		w.profiles[n] = n.Profiles()
	}
	t.Cleanup(w.end)
	return w
}

// end ends the world, with its test or earlier.
func (w *world) end() {
	w.once.Do(func() {
		w.journalsAreAsSaid()
		w.End()
	})
}

// A result is the outcome of a run of the program.
type result struct {
	stdout, stderr string
	code           int
}

func (r result) String() string {
	return fmt.Sprintf("exit code %d\n-- stdout\n%s-- stderr\n%s", r.code, r.stdout, r.stderr)
}

// command prepares a run of the program in the provider's folder.
func (w *world) command(args ...string) *exec.Cmd {
	cmd := exec.Command(w.binary, args...)
	cmd.Dir, cmd.Env = w.Provider.Dir, append(append(w.Env(), "HOSTENV_SIGNING_KEY_FILE="+w.SigningKey), w.env...)
	return cmd
}

// run runs the program to its end.
func (w *world) run(args ...string) result {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*testenv.Patience)
	defer cancel()
	cmd := w.command(args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	err := cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		w.t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// deploy runs `mage deploy` with the back end of the test.
func (w *world) deploy(args ...string) result {
	w.t.Helper()
	return w.run(w.deployArgs(args...)...)
}

func (w *world) deployArgs(args ...string) []string {
	return append([]string{"deploy", "-deployRs=" + w.deployRs}, args...)
}

// wants checks the exit code of a run.
func (w *world) wants(r result, code int) result {
	w.t.Helper()
	if r.code != code {
		w.t.Fatalf("want exit code %d, got %s", code, r)
	}
	return r
}

// runs returns the folder of journals.
func (w *world) runs() string { return filepath.Join(w.Provider.Dir, "generated", ".hostenv", "runs") }

// outcome returns the outcome of the last run, from its journal.
func (w *world) outcome() deploy.Outcome {
	w.t.Helper()
	ids, err := deploy.Runs(w.runs())
	if err != nil || len(ids) == 0 {
		w.t.Fatalf("no run was journalled: %v", err)
	}
	events, err := deploy.ReadJournal(w.runs(), ids[len(ids)-1])
	if err != nil {
		w.t.Fatal(err)
	}
	return deploy.OutcomeOf(events)
}

// each calls do for every profile of the fleet.
func (w *world) each(do func(n *fleet.Node, profile string)) {
	for _, n := range w.Nodes {
		for _, profile := range w.profiles[n] {
			do(n, profile)
		}
	}
}

// atPlan checks that every profile is at its planned path, and how often each
// activated it.
func (w *world) atPlan(paths map[string]string, activations int) {
	w.t.Helper()
	w.each(func(n *fleet.Node, profile string) {
		path := paths[n.Name+"/"+profile]
		if got := n.Active(w.t, profile); got != path {
			w.t.Errorf("%s/%s is at %q, want %q", n.Name, profile, got, path)
		}
		if got := n.Activated(w.t, profile, path); got != activations {
			w.t.Errorf("%s/%s was activated %d times, want %d", n.Name, profile, got, activations)
		}
	})
}

func contains(t testing.TB, text string, all ...string) {
	t.Helper()
	for _, want := range all {
		if !strings.Contains(text, want) {
			t.Errorf("want %q in\n%s", want, text)
		}
	}
}
