package dnsgate

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// A week has the certificates of a plan with a quota of 3, in runs of the gate.
func TestQuota(t *testing.T) {
	const site, shop = "site-main", "shop-main" // of two projects; site-test is of the first as well
	monday, thursday, next := "2026-03-02T10:00:00Z", "2026-03-05T10:00:00Z", "2026-03-09T10:00:00Z"
	type run struct {
		at    string
		hosts []string // user and host
		fails []string // hosts
		want  []string // hosts whose certificate is on
	}
	letters := func(user, letters string) (hosts []string) {
		for letter := range strings.SplitSeq(letters, "") {
			hosts = append(hosts, user+" "+letter+".example")
		}
		return hosts
	}
	names := func(letters string) (hosts []string) {
		for letter := range strings.SplitSeq(letters, "") {
			hosts = append(hosts, letter+".example")
		}
		return hosts
	}
	tests := []struct {
		reason   string
		quotas   map[string]int
		deployed bool
		runs     []run
	}{
		{"the first by name stay on", nil, false, []run{{monday, letters(site, "dbcae"), nil, names("abc")}}},
		{"the same facts again change nothing", nil, false, []run{{monday, letters(site, "abcde"), nil, names("abc")}, {thursday, letters(site, "abcde"), nil, names("abc")}}},
		{"a week later the others are turned on", nil, false, []run{{monday, letters(site, "abcde"), nil, names("abc")}, {next, letters(site, "abcde"), nil, names("abcde")}}},
		{"earlier orders of the week count", nil, false, []run{{monday, letters(site, "fg"), nil, names("fg")}, {thursday, letters(site, "abfg"), nil, names("afg")}, {next, letters(site, "abfg"), nil, names("abfg")}}},
		{"a failure takes no place", nil, false, []run{{monday, letters(site, "abcd"), names("b"), names("acd")}}},
		{"another project has its own", nil, false, []run{{monday, slices.Concat(letters(site, "abcd"), letters(shop, "vwxy")), nil, names("abcvwx")}}},
		{"environments of a project share it", nil, false, []run{{monday, slices.Concat(letters(site, "ab"), letters("site-test", "cd")), nil, names("abc")}}},
		{"a project with a higher one", map[string]int{"acme__site": 4}, false, []run{{monday, slices.Concat(letters(site, "abcde"), letters(shop, "vwxy")), nil, names("abcdvwx")}}},
		{"deployed before the first run of the gate", nil, true, []run{{monday, letters(site, "abcde"), nil, names("abcde")}}},
		{"a removed host frees no certificate that is on", nil, false, []run{{monday, letters(site, "abc"), nil, names("abc")}, {thursday, letters(site, "abcd"), nil, names("abc")}}},
		{"one that was off for its DNS is new", nil, false, []run{{monday, letters(site, "abcd"), names("d"), names("abc")}, {thursday, letters(site, "abcd"), nil, names("abc")}}},
	}
	for _, test := range tests {
		t.Run(test.reason, func(t *testing.T) {
			var d plan.Document
			for _, r := range test.runs {
				var hosts []asking
				for _, h := range r.hosts {
					user, host, _ := strings.Cut(h, " ")
					hosts = append(hosts, asking{host, user, "n1", true})
				}
				next := quotaPlan(hosts, test.quotas)
				d = Carry(d, next)
				verdicts := map[string]Verdict{}
				for _, h := range hosts {
					if verdicts[h.host] = passes; slices.Contains(r.fails, h.host) {
						verdicts[h.host] = fails
					}
				}
				policy := Policy{Now: r.at, AllowFlips: true, Deployed: func(string) bool { return test.deployed }}
				out, err := Gate(d, verdicts, policy)
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, h := range hosts {
					if certificate(t, out.Plan, h) == on {
						got = append(got, h.host)
					}
				}
				slices.Sort(got)
				if diff := cmp.Diff(r.want, got); diff != "" {
					t.Fatalf("on at %s:\n%s", r.at, diff)
				}
				again, err := Gate(out.Plan, verdicts, policy)
				if err != nil || !bytes.Equal(again.Plan.Encode(), out.Plan.Encode()) {
					t.Errorf("a second run changes the plan, %v", err)
				}
				d = out.Plan
			}
		})
	}
}

// A withheld certificate says why, and when it fits. One that goes to another node with
// its environment stays on, and counts.
func TestQuotaVerdict(t *testing.T) {
	hosts := make([]asking, 4)
	verdicts := map[string]Verdict{}
	for i := range hosts {
		hosts[i] = asking{fmt.Sprintf("h%d.example", i), "site-main", "n1", true}
		verdicts[hosts[i].host] = passes
	}
	first, err := Gate(quotaPlan(hosts, nil), verdicts, Policy{Now: "2026-03-02T10:00:00Z"})
	if err != nil {
		t.Fatal(err)
	}
	want := Verdict{
		Result: Fail, Reason: ReasonQuota, Name: "h3.example", Retryable: true,
		Evidence: []Evidence{{Name: "acme__site", Type: "quota", Saw: "3 new certificates within a week"}},
		Fix:      "run `mage dnsGate` after 2026-03-09T10:00:00Z; or, if the project may have more at once, raise provider.limits.projects.acme__site.certificates, run `mage plan`, and then the gate",
	}
	if diff := cmp.Diff(want, first.Decisions[0].Verdict); diff != "" {
		t.Error(diff)
	}
	if entry := first.Plan.DNSGate["h3.example"]; entry.Decision != off || entry.Reason != string(ReasonQuota) || entry.Since != "2026-03-02T10:00:00Z" || entry.Ordered != "" {
		t.Errorf("%+v", entry)
	}
	if all := first.Limits; len(all) > 0 {
		t.Errorf("the forecast counts it: %v", all)
	}

	for i := range hosts {
		hosts[i].node = "n2"
	}
	moved, err := Gate(Carry(first.Plan, quotaPlan(hosts, nil)), verdicts, Policy{Now: "2026-03-05T10:00:00Z"})
	if err != nil {
		t.Fatal(err)
	}
	for i, h := range hosts {
		state := on
		if i == 3 {
			state = off
		}
		if got := certificate(t, moved.Plan, h); got != state {
			t.Errorf("%s is %s, want %s", h.host, got, state)
		}
	}
}

// quotaPlan is a plan in which a project may have 3 new certificates a week.
func quotaPlan(hosts []asking, quotas map[string]int) plan.Document {
	d := planOf(hosts...)
	for user, e := range d.Environments {
		e.Hostenv = plan.Identity{Organisation: "acme", Project: strings.Split(user, "-")[0]}
		d.Environments[user] = e
	}
	d.Certificates = map[string]int{"acme__site": 3, "acme__shop": 3}
	for project, quota := range quotas {
		d.Certificates[project] = quota
	}
	return d
}
