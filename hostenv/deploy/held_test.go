package deploy_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// The events of a run name the projects that the plan holds back, before those of any
// node, and the exit code of a success says it. A resumed run names them again, once.
func TestHeldBack(t *testing.T) {
	held := []plan.Held{
		{Project: "acme__site", Reason: errors.Join(errors.New("one"), errors.New("two")), Keeps: []string{"site-main"}},
		{Project: "beta__new", Reason: errors.New("three")},
	}
	want := []deploy.Held{
		{Project: "acme__site", Reasons: []string{"one", "two"}, Keeps: []string{"site-main"}},
		{Project: "beta__new", Reasons: []string{"three"}, Keeps: []string{}},
	}
	nodes := fleet(2, 1)
	tests := []struct {
		reason   string
		held     []plan.Held
		mode     deploy.Mode
		detailed bool
		broken   string // the operation that fails
		code     int
	}{
		{"all is deployed", held, deploy.Deploy, false, "", deploy.ExitHeld},
		{"a part fails: that comes first", held, deploy.Deploy, false, "activate", deploy.ExitPartial},
		{"a preview", held, deploy.Look, false, "", deploy.ExitHeld},
		{"a preview that has changes", held, deploy.Look, true, "", deploy.ExitHeld},
		{"nothing is held back", nil, deploy.Look, true, "", deploy.ExitChanges},
		{"nothing is held back, and all is deployed", nil, deploy.Deploy, false, "", deploy.ExitDone},
	}
	for _, test := range tests {
		t.Run(test.reason, func(t *testing.T) {
			w := newWorld(t, nodes)
			w.fault = func(op, node, profile string) fault {
				if op == test.broken && node == "n1" && profile != "system" {
					return fails
				}
				return none
			}
			dir := t.TempDir()
			r := w.runner(dir, "")
			r.Held, r.Options.DetailedExitcode = test.held, test.detailed
			o, err := r.Run(t.Context(), test.mode, nodes, nodes)
			if err != nil {
				t.Fatal(err)
			}
			var saw []deploy.Held
			for _, e := range r.Journal.Events() {
				switch e.Type {
				case deploy.TypeHeld:
					saw = append(saw, *e.Held)
				case deploy.TypeNode:
					if len(saw) != len(test.held) {
						t.Fatalf("node %s comes before what is held back", e.Node)
					}
				case deploy.TypeEnd:
					if e.End.Code != test.code {
						t.Errorf("the event of the end has the code %d, want %d", e.End.Code, test.code)
					}
				default: // of the run itself
				}
			}
			expected := want
			if test.held == nil {
				expected = nil
			}
			if diff := cmp.Diff(expected, saw); diff != "" {
				t.Error(diff)
			}
			code := o.Code()
			if test.mode != deploy.Deploy {
				code = o.PreviewCode(test.detailed)
			}
			if code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}

			again := w.runner(dir, r.Journal.ID)
			if err := again.Journal.Append(deploy.Event{Type: deploy.TypeResume}); err != nil {
				t.Fatal(err)
			}
			again.Held = test.held
			if o, err = again.Run(t.Context(), test.mode, nodes, nodes); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(expected, o.Held); diff != "" {
				t.Errorf("resumed: %s", diff)
			}
		})
	}
}
