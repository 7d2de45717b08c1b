package calendar_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate/calendar"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

func TestTotals(t *testing.T) {
	hosts := []host{
		{name: "a.acme.com", aliases: []string{"www.other.org"}},
		{name: "b.acme.com", organisation: "beta"},
		{name: "c.com", node: "n2", organisation: "beta", entry: &plan.GateEntry{Decision: plan.GateOff, Verdict: "fail", Reason: "nxdomain", Name: "c.com", Node: "n2"}},
	}
	c := calendar.Of(document(hosts...), calendar.Options{Now: now, Days: 3})
	want := []calendar.Total{
		{"2026-11-30", "n1", "acme.com", calendar.Counts{First: 2}},
		{"2026-11-30", "n1", "other.org", calendar.Counts{First: 1}},
	}
	if diff := cmp.Diff(want, c.Totals(true)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]calendar.Total{{"2026-11-30", "n1", "", calendar.Counts{First: 2}}}, c.Totals(false)); diff != "" {
		t.Error(diff)
	}
	beta := c.Select(func(s calendar.Subject) bool { return s.Organisation == "beta" })
	if len(beta.Events) != 1 || beta.Events[0].Host != "b.acme.com" || len(beta.Troubles) != 1 {
		t.Errorf("the events of beta: %v, %v", shown(beta.Events), kinds(beta.Troubles))
	}
	if acme := c.Select(func(s calendar.Subject) bool { return s.Organisation == "acme" }); len(acme.Troubles) != 0 {
		t.Errorf("the troubles of acme: %v", kinds(acme.Troubles))
	}
}
