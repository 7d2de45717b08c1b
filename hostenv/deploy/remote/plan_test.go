package remote_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/remote"
)

// TestKeep: a node records the last plan that it got, and keeps it.
func TestKeep(t *testing.T) { eachShell(t, testKeep) }

func testKeep(t *testing.T, shell string) {
	m := newMachine(t, shell, "")
	s := m.open(t, lockAs("alice", 0))
	if got := s.Observation().Plan; got != (deploy.PlanRecord{}) {
		t.Errorf("a new node has %+v", got)
	}
	record := deploy.PlanRecord{Serial: 12, Digest: strings.Repeat("0a", 32), Commit: strings.Repeat("c", 40) + "-dirty", By: "alice@ci; $(id) 'run' \"7\" *", Time: "2026-11-29T07:01:02Z"}
	if err := s.Keep(t.Context(), record, []string{"site", "shop"}, false); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	s = m.open(t, lockAs("bob", 0))
	if got := s.Observation().Plan; got != record {
		t.Errorf("it has %+v", got)
	}

	older := record
	older.Serial, older.Commit, older.By, older.Time = 9, "", "bob", ""
	var failed *remote.CommandError
	if err := s.Keep(t.Context(), older, nil, false); !errors.As(err, &failed) || failed.Status != 67 || !strings.Contains(err.Error(), "the node got plan 12 meanwhile, which is newer than plan 9") {
		t.Errorf("a lower serial: %v", err)
	}
	if o, err := s.Observe(t.Context()); err != nil || o.Plan != record {
		t.Errorf("it has %+v, %v", o.Plan, err)
	}
	if err := s.Keep(t.Context(), older, nil, true); err != nil {
		t.Fatal(err)
	}
	if o, err := s.Observe(t.Context()); err != nil || o.Plan != older {
		t.Errorf("lowered, it has %+v, %v", o.Plan, err)
	}

	// What is no record counts as none.
	for _, text := range []string{"", "\n", "plan 12\n", "-4 x y z a\n", "99999999999999999999 " + record.Digest + " - - a\n", strings.Repeat("7", 5000)} {
		m.sh(t, `printf %s "$1" >/home/deploy/.hostenv-deploy/plan`, text)
		if o, err := s.Observe(t.Context()); err != nil || o.Plan != (deploy.PlanRecord{}) {
			t.Errorf("%.30q is %+v, %v", text, o.Plan, err)
		}
		if err := s.Keep(t.Context(), record, []string{"site", "shop"}, false); err != nil {
			t.Errorf("after %.30q: %v", text, err)
		}
	}
	// Without room for a new record the old one stays.
	m.sh(t, "cd /home/deploy/.hostenv-deploy && rm -f plan.new && mkdir plan.new")
	next := record
	next.Serial = 13
	if err := s.Keep(t.Context(), next, nil, false); err == nil || !strings.Contains(err.Error(), "recording the plan as deploy ended with exit status") {
		t.Errorf("it cannot be written: %v", err)
	}
	if o, err := s.Observe(t.Context()); err != nil || o.Plan != record {
		t.Errorf("it has %+v, %v", o.Plan, err)
	}
}
