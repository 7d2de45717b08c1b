package dnsgate

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// A customer is an organisation with certificates, of which some fail.
type customer struct {
	name     string
	all      int
	fail     int
	unknown  int
	isNew    bool // its certificates are not in the plan of the run before
	leftWith int  // how many are on after the run; all if it is withheld
}

// One customer's failures stop no other customer, and do not hide behind others'.
func TestBrakeByOrganisation(t *testing.T) {
	none := func(string) bool { return false }
	every := func(user string) bool { return true }
	for _, test := range []struct {
		reason    string
		deployed  func(string) bool
		onUnknown OnUnknown
		customers []customer
		withheld  []string
	}{
		{"40 broken names of one", every, "", []customer{{name: "acme", all: 40, fail: 40, leftWith: 40}, {name: "beta", all: 10, fail: 2, leftWith: 8}, {name: "gamma", all: 1, fail: 1, leftWith: 0}},
			[]string{"acme: 40 of 40 certificates would be turned off at once, over 30 %"}},
		{"they do not hide behind 200 of another", every, "", []customer{{name: "acme", all: 40, fail: 40, leftWith: 40}, {name: "beta", all: 200, leftWith: 200}},
			[]string{"acme: 40 of 40 certificates would be turned off at once, over 30 %"}},
		{"two of three", every, "", []customer{{name: "acme", all: 3, fail: 2, leftWith: 3}, {name: "beta", all: 3, leftWith: 3}},
			[]string{"acme: 2 of 3 certificates would be turned off at once, over 30 %"}},
		{"30 of 100 of each", every, "", []customer{{name: "acme", all: 100, fail: 30, leftWith: 70}, {name: "beta", all: 100, fail: 30, leftWith: 70}}, nil},
		{"one each, of few organisations", every, "", []customer{{name: "acme", all: 1, fail: 1, leftWith: 0}, {name: "beta", all: 1, leftWith: 1}, {name: "gamma", all: 1, leftWith: 1}}, nil},
		{"one each, of many", every, "", []customer{{name: "acme", all: 1, fail: 1, leftWith: 1}, {name: "beta", all: 2, fail: 1, leftWith: 2}, {name: "gamma", all: 5, leftWith: 5}},
			[]string{"acme: a certificate would be turned off at once, of this and 1 other organisations, over 30 % of them", "beta: a certificate would be turned off at once, of this and 1 other organisations, over 30 % of them"}},
		{"one that is withheld has no part in that", every, "", []customer{{name: "acme", all: 9, fail: 9, leftWith: 9}, {name: "beta", all: 1, fail: 1, leftWith: 0}, {name: "gamma", all: 1, leftWith: 1}},
			[]string{"acme: 9 of 9 certificates would be turned off at once, over 30 %"}},
		{"new names of a customer, in a fleet that is deployed", every, "", []customer{{name: "acme", all: 5, leftWith: 5}, {name: "beta", all: 11, fail: 11, isNew: true, leftWith: 0}}, nil},
		{"the first run before the first deploy", none, "", []customer{{name: "acme", all: 5, isNew: true, leftWith: 5}, {name: "beta", all: 11, fail: 11, isNew: true, leftWith: 11}},
			[]string{"beta: 11 of 11 certificates would be off from the start, over 30 %"}},
		{"a run after that", none, "", []customer{{name: "acme", all: 5, leftWith: 5}, {name: "beta", all: 11, fail: 11, isNew: true, leftWith: 11}},
			[]string{"beta: 11 of 11 certificates would be off from the start, over 30 %"}},
		{"a new name of a customer that the gate knows", none, "", []customer{{name: "acme", all: 5, leftWith: 5}}, nil},
		{"new names without an answer wait", none, "", []customer{{name: "acme", all: 5, unknown: 5, isNew: true, leftWith: 0}}, nil},
		{"no verdict, with fail", every, OnUnknownFail, []customer{{name: "acme", all: 2, unknown: 1, isNew: true, leftWith: 2}, {name: "beta", all: 2, fail: 1, isNew: true, leftWith: 1}},
			[]string{"acme: 1 virtual hosts have no verdict"}},
	} {
		t.Run(test.reason, func(t *testing.T) {
			var before, all []site
			verdicts := map[string]Verdict{}
			for _, c := range test.customers {
				for i := range c.all {
					s := site{fmt.Sprintf("h%03d.%s.com", i, c.name), c.name + "-site", "n1", nil}
					all = append(all, s)
					if !c.isNew {
						before = append(before, s)
					}
					switch {
					case i < c.fail:
						verdicts[s.host] = fails
					case i < c.fail+c.unknown:
						verdicts[s.host] = dunno
					default:
						verdicts[s.host] = passes
					}
				}
			}
			c := newClock(t)
			c.policy.AllowOrders = true
			first, _ := c.run(0, before...)
			old := first.Plan
			if len(before) == 0 {
				old = plan.Document{}
			}
			d := Carry(old, sites(all...))
			policy := Policy{Now: "2026-05-01T00:00:00Z", OnUnknown: test.onUnknown, AllowOrders: true, Deployed: func(user string) bool {
				return !slices.ContainsFunc(test.customers, func(c customer) bool { return c.isNew && user == c.name+"-site" }) && test.deployed(user)
			}}
			out, err := Gate(d, verdicts, policy)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, w := range out.Withheld {
				text, _, _ := strings.Cut(strings.TrimPrefix(w.Reason.Error(), w.Organisation+": "), ": ")
				got = append(got, w.Organisation+": "+text)
				if !errors.Is(w.Reason, ErrWithheld) || problem.Hint(w.Reason) == "" {
					t.Errorf("the reason is %v", w.Reason)
				}
			}
			if diff := cmp.Diff(test.withheld, got); diff != "" {
				t.Errorf("withheld:\n%s", diff)
			}
			on := map[string]int{}
			for _, s := range all {
				if certificate(t, out.Plan, asking{s.host, s.user, s.node, true}) == plan.GateOn {
					name, _, _ := strings.Cut(s.user, "-")
					on[name]++
				}
			}
			for _, c := range test.customers {
				if on[c.name] != c.leftWith {
					t.Errorf("%s has %d certificates on, want %d", c.name, on[c.name], c.leftWith)
				}
			}
			for _, w := range out.Withheld { // its entries are as they were
				for _, s := range all {
					if e, was := d.DNSGate[s.host]; strings.HasPrefix(s.user, w.Organisation+"-") {
						if now, is := out.Plan.DNSGate[s.host]; was != is || !cmp.Equal(e, now) {
							t.Errorf("the entry of %s changed: %+v", s.host, now)
						}
					}
				}
			}
			again, err := Gate(out.Plan, verdicts, policy)
			if err != nil || len(again.Withheld) != len(out.Withheld) || !bytes.Equal(again.Plan.Encode(), out.Plan.Encode()) {
				t.Errorf("a second run changes the plan, %v", err)
			}
			policy.AllowFlips, policy.OnUnknown = true, OnUnknownDefault
			if out, err := Gate(d, verdicts, policy); err != nil || len(out.Withheld) > 0 {
				t.Errorf("with AllowFlips: %+v, %v", out, err)
			}
		})
	}
}

// If all organisations are withheld, the run is refused as a whole.
func TestBrakeOfAll(t *testing.T) {
	verdicts := map[string]Verdict{}
	var all []site
	for i := range 11 {
		s := site{fmt.Sprintf("h%02d.com", i), "acme-site", "n1", nil}
		if i > 7 {
			s.user = "beta-shop"
		}
		all, verdicts[s.host] = append(all, s), fails
	}
	_, err := Gate(sites(all...), verdicts, Policy{})
	if !errors.Is(err, ErrWithheld) || len(problem.Leaves(err)) != 2 {
		t.Fatalf("the first run, of which all fail: %v", err)
	}
	got := problem.Leaves(err)[1]
	if got.Error() != "beta: 3 of 3 certificates would be off from the start, over 30 %: h08.com, h09.com, h10.com" ||
		problem.Hint(got) != "see why with -dryRun -env=beta-shop -allowFlips, which writes no file; if it is right, run with -env=beta-shop -allowFlips" {
		t.Errorf("it says %q, %q", got, problem.Hint(got))
	}
	if _, err := Gate(sites(all[:8]...), verdicts, Policy{}); err == nil || problem.Hint(err) != "see why with -dryRun -allowFlips, which writes no file; if it is right, run with -allowFlips" {
		t.Errorf("one organisation alone: %v, %q", err, problem.Hint(err))
	}
}
