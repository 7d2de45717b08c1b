package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// The newest run that saw an environment on a node decides where it is.
func TestArrived(t *testing.T) {
	runs := t.TempDir()
	at := func(node, user string, state deploy.State) deploy.Event {
		return deploy.Event{Type: deploy.TypeProfile, Node: node, Profile: user, State: state, Want: "/nix/store/x"}
	}
	now := time.Now()
	for i, events := range [][]deploy.Event{
		{at("n1", "shop", deploy.StateActive), at("n1", "blog", deploy.StateInSync), at("n1", "system", deploy.StateActive)},
		{at("n2", "shop", deploy.StateActivating), at("n2", "shop", deploy.StateActive), at("n2", "blog", deploy.StateFailed)},
		{at("n1", "shop", deploy.StatePending), at("n1", "shop", deploy.StateActivating)}, // and was killed
	} {
		j, err := deploy.CreateJournal(runs, now.Add(time.Duration(i)*time.Millisecond), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Append(events...); err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	got, err := deploy.ReadHistory(runs)
	if diff := cmp.Diff(map[string]string{"shop": "n2", "blog": "n1"}, got.Arrived); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if got, err := deploy.ReadHistory(filepath.Join(runs, "nowhere")); len(got.Arrived) > 0 || err != nil {
		t.Error(got, err)
	}
	ids, err := deploy.Runs(runs)
	if err != nil || len(ids) != 3 {
		t.Fatal(ids, err)
	}
	if err := os.WriteFile(filepath.Join(runs, ids[1]+".jsonl"), []byte("nonsense\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := deploy.ReadHistory(runs); err == nil {
		t.Error("a journal that cannot be read is passed over")
	}
}

// moving is a Mover. The data of its environment are on n1.
type moving struct {
	ignore bool
	asked  *[]string
}

func (m moving) From(_ context.Context, _ deploy.Node, p deploy.Profile) (string, error) {
	return map[string]string{"env1-n2": "n1"}[p.Name], nil
}

func (m moving) Prepare(_ context.Context, from, _ deploy.Session, _ deploy.Node, p deploy.Profile) (*deploy.Moved, error) {
	*m.asked = append(*m.asked, fmt.Sprintf("%s, reached: %v", p.Name, from != nil))
	switch {
	case from != nil:
		return &deploy.Moved{From: "n1", Snapshots: map[string]string{"db": "0123abcd"}}, nil
	case m.ignore:
		return nil, nil
	}
	return nil, errors.New("the node cannot be reached")
}

func (m moving) Discard(_ context.Context, _ deploy.Session, p deploy.Profile) error {
	*m.asked = append(*m.asked, p.Name+", nothing is left")
	return nil
}

// An old node that is gone holds an environment back, whether it is gone at the start
// or goes during the run, unless the mover continues without its data. A node that is
// locked by another deploy is not gone.
func TestOldNodeUnreachable(t *testing.T) {
	const lost, reached, without = "env1-n2, reached: false", "env1-n2, reached: true", "env1-n2, nothing is left"
	for _, test := range []struct {
		reason      string
		ignore      bool
		gone, later bool // the old node is gone at the start, or goes later
		locked      bool
		finding     string
		code        int
		asked       []string
	}{
		{"it is there", false, false, false, false, "", deploy.ExitDone, []string{reached}},
		{"it is gone", false, true, false, false, deploy.FindingMove, deploy.ExitFailed, []string{lost}},
		{"it is gone, and errors are ignored", true, true, false, false, "", deploy.ExitDone, []string{lost, without}},
		{"it goes", false, false, true, false, "", deploy.ExitPartial, []string{lost}},
		{"it goes, and errors are ignored", true, false, true, false, "", deploy.ExitDone, []string{lost, without}},
		{"it is locked", true, false, false, true, deploy.FindingLocked, deploy.ExitLocked, nil},
	} {
		t.Run(test.reason, func(t *testing.T) {
			nodes := fleet(2, 1)
			w := newWorld(t, nodes)
			w.nodes["n1"].unreached, w.nodes["n1"].locked = test.gone, test.locked
			var asked []string
			r := w.runner(t.TempDir(), "")
			r.Mover = moving{test.ignore, &asked}
			if test.later {
				r.Remote = losing{w}
			}
			o, err := r.Run(t.Context(), deploy.Deploy, nodes[1:], nodes)
			if err != nil {
				t.Fatal(err)
			}
			finding := ""
			if len(o.Findings) > 0 {
				finding = o.Findings[0].Finding.Code
			}
			if diff := cmp.Diff(test.asked, asked); diff != "" || finding != test.finding || o.Code() != test.code {
				t.Errorf("exit code %d, %+v, %s", o.Code(), o.Findings, diff)
			}
			w.agrees(nodes[1:], o)
		})
	}

	// A preview shows that the node cannot be reached, and takes no lock.
	for _, ignore := range []bool{false, true} {
		nodes := fleet(2, 1)
		w := newWorld(t, nodes)
		w.nodes["n1"].unreached, w.nodes["n2"].locked = true, true
		var asked []string
		r := w.runner(t.TempDir(), "")
		r.Mover = moving{ignore, &asked}
		o, err := r.Run(t.Context(), deploy.Preview, nodes[1:], nodes)
		if err != nil {
			t.Fatal(err)
		}
		warned := len(o.Findings) == 1 && o.Findings[0].Finding.Code == deploy.FindingMove && o.Findings[0].Finding.Level == deploy.Warning
		if warned == ignore || len(asked) != 1 || o.PreviewCode(true) != deploy.ExitChanges {
			t.Errorf("ignoring it is %v: %+v, %q, exit code %d", ignore, o.Findings, asked, o.PreviewCode(true))
		}
	}
}

// losing opens n1 once, and loses that connection immediately.
type losing struct{ *world }

func (l losing) Open(ctx context.Context, n deploy.Node, how deploy.OpenOptions) (deploy.Session, error) {
	s, err := l.world.Open(ctx, n, how)
	if err == nil && n.Name == "n1" {
		close(s.(*session).lost)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.nodes["n1"].unreached = true
	}
	return s, err
}
