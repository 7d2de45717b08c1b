package deploy_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// answering is a Verifier that records which environments it has checked. A check that
// is interrupted does not pass.
type answering struct {
	asked  *[]string
	answer func(user string) bool
}

func (a answering) Has(_ deploy.Node, profile string) (checks, enforced bool) {
	return profile != "system", true
}

func (a answering) Verify(ctx context.Context, _ deploy.Node, user string, which deploy.Asking) deploy.Verification {
	check := deploy.Check{VirtualHost: user, URL: "http://" + user + "/", Problem: "interrupted", Unknown: true}
	if ctx.Err() == nil {
		check.Unknown = false
		if which.Again == nil {
			*a.asked = append(*a.asked, user)
		}
		if check.OK = a.answer(user); check.OK {
			check.Problem = ""
		}
	}
	return deploy.Verification{Enforce: true, Checks: []deploy.Check{check}}
}

// Every profile that a run activates is verified once, by that run or, if it died or
// was stopped, by a later one. A new environment that fails its checks is removed, and
// the next run activates and verifies it again.
func TestUnverifiedIsVerified(t *testing.T) {
	yes, no := func(string) bool { return true }, func(string) bool { return false }
	const first, second = "env1-n1", "env2-n1"
	tests := []struct {
		reason string
		// run prepares the first run, and returns the answers of its checks.
		run     func(r *deploy.Runner, w *world) func(user string) bool
		dies    bool
		code    int
		asked   []string
		resumes bool
		answer  func(string) bool
		then    []string // environments that the second run checks
		code2   int
		last    []string // that the third run checks
	}{
		{"it works", func(*deploy.Runner, *world) func(string) bool { return yes }, false, deploy.ExitDone, []string{first, second}, false, no, nil, deploy.ExitDone, nil},
		{"it does not work, and another run is begun", func(*deploy.Runner, *world) func(string) bool { return no }, false, deploy.ExitPartial, []string{first, second}, false, yes, []string{first, second}, deploy.ExitDone, nil},
		{"it does not work, and the run is resumed", func(*deploy.Runner, *world) func(string) bool { return func(user string) bool { return user == first } }, false, deploy.ExitPartial, []string{first, second}, true, yes, []string{second}, deploy.ExitDone, nil},
		{"it does not work, the run is resumed, and it does not work", func(*deploy.Runner, *world) func(string) bool { return no }, false, deploy.ExitPartial, []string{first, second}, true, no, []string{first, second}, deploy.ExitPartial, []string{first, second}},
		{"it dies while it asks", func(r *deploy.Runner, _ *world) func(string) bool {
			return func(user string) bool { return user == first || r.Journal.Close() != nil }
		}, true, 0, []string{first, second}, false, yes, []string{second}, deploy.ExitDone, nil},
		{"the run dies during the checks, and is resumed", func(r *deploy.Runner, _ *world) func(string) bool {
			return func(user string) bool { return user == first || r.Journal.Close() != nil }
		}, true, 0, []string{first, second}, true, yes, []string{second}, deploy.ExitDone, nil},
		{"it is stopped in the last activation", func(r *deploy.Runner, w *world) func(string) bool {
			stop := make(chan struct{})
			r.Stop = stop
			w.fault = func(op, _, profile string) fault {
				if op == "activate" && profile == second {
					close(stop)
				}
				return none
			}
			return yes
		}, false, deploy.ExitInterrupted, []string{first}, false, yes, []string{second}, deploy.ExitDone, nil},
		{"no checks are requested", func(r *deploy.Runner, _ *world) func(string) bool {
			r.Options.SkipVerification = true
			return no
		}, false, deploy.ExitDone, nil, false, no, nil, deploy.ExitDone, nil},
	}
	for _, test := range tests {
		t.Run(test.reason, func(t *testing.T) {
			nodes := fleet(1, 2)
			nodes[0].Activations = 1
			w := newWorld(t, nodes)
			dir := t.TempDir()
			r := w.runner(dir, "")
			var asked []string
			r.Verifier = answering{&asked, test.run(r, w)}
			if err := r.Journal.Append(deploy.Event{Type: deploy.TypeRun, Start: &deploy.Start{Options: r.Options}}); err != nil {
				t.Fatal(err)
			}
			o, err := r.Run(t.Context(), deploy.Deploy, nodes, nodes)
			if (err != nil) != test.dies || err == nil && o.Code() != test.code {
				t.Fatalf("exit code %d, %v", o.Code(), err)
			}
			if diff := cmp.Diff(test.asked, asked); diff != "" {
				t.Error(diff)
			}
			w.fault = func(string, string, string) fault { return none }
			id := ""
			if test.resumes {
				id = r.Journal.ID
			}
			for i, want := range [][]string{test.then, test.last} {
				history, err := deploy.ReadHistory(dir)
				if err != nil {
					t.Fatal(err)
				}
				asked = nil
				again := w.runner(dir, id)
				again.Verifier, again.History = answering{&asked, test.answer}, history
				o, err := again.Run(t.Context(), deploy.Deploy, nodes, nodes)
				if err != nil {
					t.Fatal(err)
				}
				if i == 0 {
					if o.Code() != test.code2 {
						t.Errorf("exit code %d, want %d", o.Code(), test.code2)
					}
					id = "" // the third run is a new one
				}
				if diff := cmp.Diff(want, asked); diff != "" {
					t.Errorf("run %d: %s", i+2, diff)
				}
			}
		})
	}
}
