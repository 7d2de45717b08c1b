package dnsgate

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// ordering makes a plan of n virtual hosts that all pass, all in one domain.
func ordering(n int, node, domain string) (hosts []asking, verdicts map[string]Verdict) {
	verdicts = map[string]Verdict{}
	for i := range n {
		h := asking{fmt.Sprintf("h%03d.%s", i, domain), "u", node, true}
		hosts = append(hosts, h)
		verdicts[h.host] = passes
	}
	return hosts, verdicts
}

func gateAt(t *testing.T, d plan.Document, verdicts map[string]Verdict, now string) *Gated {
	t.Helper()
	out, err := Gate(d, verdicts, Policy{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestForecast(t *testing.T) {
	const monday, friday, later = "2026-03-02T12:00:00Z", "2026-03-06T12:00:00Z", "2026-04-06T12:00:00Z"
	const both = "[h050.example.com h051.example.com]"
	hosts, verdicts := ordering(52, "n1", "example.com")
	first := gateAt(t, planOf(hosts...), verdicts, monday)
	got := first.Limits
	if len(got) != 1 || got[0].Kind != PerDomain.Kind || got[0].Subject != "example.com" || got[0].Planned != 52 || !got[0].Withheld || fmt.Sprint(got[0].HoldBack) != both {
		t.Errorf("52 in one domain: %+v", got)
	}
	want := Verdict{
		Result: Fail, Reason: ReasonRateLimit, Name: "h050.example.com", Retryable: true,
		Evidence: []Evidence{{Name: "example.com", Type: "certificates-per-registered-domain", Saw: "50 of 50 are taken"}},
		// One of 50 is free again after a fiftieth of a week.
		Fix: "run `mage dnsGate` after 2026-03-02T15:21:36Z; or, if Let's Encrypt allows you more, with -allowOrders",
	}
	if diff := cmp.Diff(want, first.Decisions[0].Verdict); diff != "" {
		t.Error(diff)
	}
	if e := first.Plan.DNSGate["h050.example.com"]; e.Decision != off || e.Reason != "rate-limit" || e.Ordered != "" || e.OrderedNames != nil {
		t.Errorf("the plan has %+v of one that is withheld", e)
	}
	again := gateAt(t, first.Plan, verdicts, "2026-03-02T15:21:35Z")
	if got := again.Limits; len(got) != 1 || got[0].Past != 50 || got[0].Planned != 2 || fmt.Sprint(got[0].HoldBack) != both {
		t.Errorf("once more, deployed or not: %+v", got)
	}
	again = gateAt(t, again.Plan, verdicts, "2026-03-02T15:21:36Z")
	if got := again.Limits; len(got) != 1 || fmt.Sprint(got[0].HoldBack) != "[h051.example.com]" {
		t.Errorf("when one is free: %+v", got)
	}
	for _, now := range []string{friday, later} {
		if got := gateAt(t, again.Plan, verdicts, now); len(got.Limits) != 0 || got.Decisions[0].Verdict.Result != Pass {
			t.Errorf("at %s: %v", now, got.Limits)
		}
	}
	allowed, err := Gate(planOf(hosts...), verdicts, Policy{Now: monday, AllowOrders: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := allowed.Limits; len(got) != 1 || got[0].Withheld || fmt.Sprint(got[0].HoldBack) != both || allowed.Decisions[0].Verdict.Result != Pass {
		t.Errorf("with AllowOrders: %+v", got)
	}

	hosts, verdicts = ordering(40, "n1", "example.com")
	first = gateAt(t, planOf(hosts...), verdicts, monday)
	if got := first.Limits; len(got) != 0 {
		t.Errorf("40 in one domain: %v", got)
	}
	hosts, verdicts = ordering(75, "n1", "example.com")
	for _, c := range []struct {
		now  string
		past int
		held int
		why  string
	}{
		{"2026-03-02T12:00:01Z", 40, 25, "35 more at once"},
		{"2026-03-04T00:00:00Z", 30, 15, "a day and a half later"},
		{later, 0, 0, "a month later"},
	} {
		got := gateAt(t, Carry(first.Plan, planOf(hosts...)), verdicts, c.now).Limits
		held := 0
		for _, s := range got {
			held += len(s.HoldBack)
			if s.Past != c.past {
				t.Errorf("%s: past is %d, want %d", c.why, s.Past, c.past)
			}
		}
		if held != c.held {
			t.Errorf("%s: %v", c.why, got)
		}
	}
}

// A certificate that passes for another reason is not ordered again, and one that
// existed before the gate is not new.
func TestForecastOfOldCertificates(t *testing.T) {
	const long, monday, tuesday = "2026-01-01T12:00:00Z", "2026-03-02T12:00:00Z", "2026-03-03T12:00:00Z"
	hosts, verdicts := ordering(60, "n1", "example.com")
	for name, deployed := range map[string]bool{"ordered long ago": false, "there before the gate": true} {
		first, err := Gate(planOf(hosts...), verdicts, Policy{Now: long, Deployed: func(string) bool { return deployed }})
		if err != nil {
			t.Fatal(err)
		}
		if got := first.Limits; deployed != (len(got) == 0) {
			t.Errorf("%s: %v", name, got)
		}
		other := map[string]Verdict{}
		for host := range verdicts {
			other[host] = Verdict{Result: Pass, Reason: ReasonAAAAMatch}
		}
		d := gateAt(t, first.Plan, other, monday).Plan
		added := asking{"new.example.com", "u", "n1", true}
		other[added.host] = passes
		if got := gateAt(t, Carry(d, planOf(append(hosts, added)...)), other, tuesday).Limits; len(got) != 0 {
			t.Errorf("%s, and one more: %v", name, got)
		}
	}
}

func TestForecastAccounts(t *testing.T) {
	const now = "2026-03-02T12:00:00Z"
	var hosts []asking
	all := map[string]Verdict{}
	for i := range 8 {
		some, verdicts := ordering(40, "n1", fmt.Sprintf("example%d.com", i))
		hosts = append(hosts, some...)
		for host, v := range verdicts {
			all[host] = v
		}
	}
	got := gateAt(t, planOf(hosts...), all, now).Limits
	if len(got) != 1 || got[0].Kind != PerAccount.Kind || got[0].Subject != "n1" || len(got[0].HoldBack) != 20 {
		t.Errorf("320 on one node: %+v", got)
	}
	if text := got[0].String(); text != "320 new certificates are due for n1, 0 earlier ones count, and Let's Encrypt allows 300 in 3 hours (orders-per-account)" {
		t.Errorf("it says %q", text)
	}
	if hint := got[0].Hint(); hint != "these stay off until `mage dnsGate` runs after 2026-03-02T12:00:36Z, or with -allowOrders: h037.example4.com, h037.example5.com, h037.example6.com, "+
		"h037.example7.com, h038.example0.com, h038.example1.com, h038.example2.com, h038.example3.com, h038.example4.com, h038.example5.com and 10 more" {
		t.Errorf("it says %q", hint)
	}
	hosts, all = ordering(60, "n1", "github.io")
	if got := gateAt(t, planOf(hosts...), all, now).Limits; len(got) != 0 {
		t.Errorf("below a private suffix each name is a registered domain: %v", got)
	}
	hosts, all = ordering(60, "n1", "example.com")
	if got := gateAt(t, planOf(hosts...), all, "").Limits; got != nil {
		t.Errorf("without a clock: %v", got)
	}
}

// A certificate that never passed may fail again and again.
func TestForecastFailures(t *testing.T) {
	const now, later = "2026-03-02T12:00:00Z", "2026-03-02T12:10:00Z"
	hosts := []asking{{"a.example.com", "u", "n1", true}, {"b.example.com", "u", "n1", true}, {"c.example.net", "v", "n2", true}, {"d.example.net", "v", "n2", true}}
	d := planOf(hosts...)
	verdicts := map[string]Verdict{"a.example.com": dunno, "b.example.com": passes, "c.example.net": fails, "d.example.net": dunno}
	gate := func(d plan.Document, policy Policy) *Gated {
		t.Helper()
		out, err := Gate(d, verdicts, policy)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	want := func(out *Gated, want string) {
		t.Helper()
		var got []string
		for _, s := range out.Limits {
			if s.Kind != PerFailure.Kind || s.Past != 0 || s.Planned != len(s.HoldBack) {
				t.Errorf("%+v", s)
			}
			got = append(got, fmt.Sprint(s.Subject, s.HoldBack))
		}
		if fmt.Sprint(got) != want {
			t.Errorf("got %v, want %s", got, want)
		}
	}
	const both = "[n1[a.example.com] n2[d.example.net]]"
	kept := gate(d, Policy{Now: now, OnUnknown: OnUnknownKeep})
	want(kept, both)
	want(kept, both) // it needs no clock
	want(gate(kept.Plan, Policy{Now: later}), both)
	want(gate(d, Policy{Now: now, Deployed: func(user string) bool { return user == "v" }}), "[n2[d.example.net]]")
	want(gate(d, Policy{Now: now}), "[]") // they are off

	verdicts["a.example.com"], verdicts["d.example.net"] = passes, fails
	repaired := gate(kept.Plan, Policy{Now: later})
	want(repaired, "[]")
	verdicts["a.example.com"] = dunno // it passed before, so it counts as issued
	want(gate(repaired.Plan, Policy{Now: later}), "[]")

	if text := kept.Limits[0].String(); text != "1 certificates are on and never passed on n1; the node orders those that Let's Encrypt did not issue yet every hour, "+
		"which may fail, and Let's Encrypt allows 5 failures of a name in an hour (failed-authorizations-per-name), and 1152 without a success (consecutive-failures-per-name)" {
		t.Errorf("it says %q", text)
	}
}
