package dnsgate

import (
	"fmt"
	"testing"

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
	hosts, verdicts := ordering(52, "n1", "example.com")
	first := gateAt(t, planOf(hosts...), verdicts, monday)
	got := Forecast(first, monday)
	if len(got) != 1 || got[0].Kind != PerDomain.Kind || got[0].Subject != "example.com" || got[0].Planned != 52 ||
		fmt.Sprint(got[0].HoldBack) != "[h050.example.com h051.example.com]" {
		t.Errorf("52 in one domain: %+v", got)
	}
	again := gateAt(t, first.Plan, verdicts, friday)
	got = Forecast(again, friday)
	if len(got) != 1 || got[0].Past != 50 || got[0].Planned != 2 || fmt.Sprint(got[0].HoldBack) != "[h050.example.com h051.example.com]" {
		t.Errorf("once more, deployed or not: %+v", got)
	}
	if got := Forecast(gateAt(t, again.Plan, verdicts, later), later); len(got) != 0 {
		t.Errorf("a month later: %v", got)
	}

	hosts, verdicts = ordering(40, "n1", "example.com")
	first = gateAt(t, planOf(hosts...), verdicts, monday)
	if got := Forecast(first, monday); len(got) != 0 {
		t.Errorf("40 in one domain: %v", got)
	}
	hosts, verdicts = ordering(55, "n1", "example.com")
	for _, c := range []struct {
		now  string
		held int
		why  string
	}{
		{friday, 5, "40 of the same week and 15 more"},
		{later, 0, "40 of last month and 15 more"},
	} {
		got := Forecast(gateAt(t, Carry(first.Plan, planOf(hosts...)), verdicts, c.now), c.now)
		held := 0
		for _, s := range got {
			held += len(s.HoldBack)
			if s.Past != 40 {
				t.Errorf("%s: past is %d", c.why, s.Past)
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
		if got := Forecast(first, long); deployed != (len(got) == 0) {
			t.Errorf("%s: %v", name, got)
		}
		other := map[string]Verdict{}
		for host := range verdicts {
			other[host] = Verdict{Result: Pass, Reason: ReasonAAAAMatch}
		}
		d := gateAt(t, first.Plan, other, monday).Plan
		added := asking{"new.example.com", "u", "n1", true}
		other[added.host] = passes
		if got := Forecast(gateAt(t, Carry(d, planOf(append(hosts, added)...)), other, tuesday), tuesday); len(got) != 0 {
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
	got := Forecast(gateAt(t, planOf(hosts...), all, now), now)
	if len(got) != 1 || got[0].Kind != PerAccount.Kind || got[0].Subject != "n1" || len(got[0].HoldBack) != 20 {
		t.Errorf("320 on one node: %+v", got)
	}
	if text := got[0].String(); text != "n1: the next deploy orders 320 certificates, 0 were ordered within 3 hours, and Let's Encrypt allows 300 (orders-per-account)" {
		t.Errorf("it says %q", text)
	}
	hosts, all = ordering(60, "n1", "github.io")
	if got := Forecast(gateAt(t, planOf(hosts...), all, now), now); len(got) != 0 {
		t.Errorf("below a private suffix each name is a registered domain: %v", got)
	}
	hosts, all = ordering(60, "n1", "example.com")
	if got := Forecast(gateAt(t, planOf(hosts...), all, ""), ""); got != nil {
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
	want := func(out *Gated, now, want string) {
		t.Helper()
		var got []string
		for _, s := range Forecast(out, now) {
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
	want(kept, now, both)
	want(kept, "", both) // it needs no clock
	want(gate(kept.Plan, Policy{Now: later}), later, both)
	want(gate(d, Policy{Now: now, Deployed: func(user string) bool { return user == "v" }}), now, "[n2[d.example.net]]")
	want(gate(d, Policy{Now: now}), now, "[]") // they are off

	verdicts["a.example.com"], verdicts["d.example.net"] = passes, fails
	repaired := gate(kept.Plan, Policy{Now: later})
	want(repaired, later, "[]")
	verdicts["a.example.com"] = dunno // it passed before, so it counts as issued
	want(gate(repaired.Plan, Policy{Now: later}), later, "[]")

	if text := Forecast(kept, now)[0].String(); text != "n1: 1 certificates are on and never passed; the node orders those that Let's Encrypt did not issue yet every hour, "+
		"which may fail, and Let's Encrypt allows 5 failures a name in an hour (failed-authorizations-per-name)" {
		t.Errorf("it says %q", text)
	}
}
