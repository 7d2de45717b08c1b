package dnsgate

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A certificate that is held back is turned on by the run that is foretold, if the gate
// runs once a day: in random fleets, of which some change before.
func TestReleases(t *testing.T) {
	const horizon = 20
	late := 0
	for n := range 16 {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			r := rand.New(rand.NewPCG(15, uint64(n)))
			c := newClock(t)
			quotas := map[string]int{}
			var all []site
			users := []string{"acme-site", "acme-shop", "beta-site", "gamma-site"}[:1+r.IntN(4)]
			count := 60 + r.IntN(160)
			if n == 0 {
				count = 340 // an account's orders
			}
			for i := range count {
				user := r.IntN(len(users))
				s := site{fmt.Sprintf("h%03d.", i), users[user], fmt.Sprintf("n%d", 1+user%2), nil}
				if s.host += []string{"shop.com", "host.net", fmt.Sprintf("own%d.org", i)}[r.IntN(3)]; n == 0 {
					s.host, s.user, s.node = fmt.Sprintf("h%03d.own%d.org", i, i), users[0], "n1"
				}
				all = append(all, s)
			}
			if n > 0 {
				for _, user := range users {
					quotas[user] = 5 + r.IntN(90)
				}
			}
			c.quotas = quotas
			half := r.IntN(len(all) + 1)
			c.run(0, all[:half]...)
			c.run(time.Duration(r.IntN(200))*time.Hour, all...)
			if n%2 == 0 {
				for range 5 {
					s := &all[r.IntN(len(all))]
					s.aliases = []string{"www." + s.host}
				}
				for i := range all { // one environment goes to another node
					if all[i].user == users[0] {
						all[i].node = "n2"
					}
				}
				next := sites(all...)
				next.Certificates = c.d.Certificates
				c.d = Carry(c.d, next)
			}
			foretold := Releases(c.d, c.at, c.at.AddDate(0, 0, horizon))
			waiting := map[string]string{}
			for _, r := range foretold {
				waiting[r.Host] = ""
				if !r.At.IsZero() {
					waiting[r.Host] = r.At.Format(time.RFC3339)
				}
				if e := c.d.DNSGate[r.Host]; e.Decision != off || e.Reason != string(r.Reason) {
					t.Errorf("%s is %s for %s, and foretold with %s", r.Host, e.Decision, e.Reason, r.Reason)
				}
			}
			for host, e := range c.d.DNSGate {
				if _, ok := waiting[host]; e.Decision == off && !ok {
					t.Errorf("%s is off, and not foretold", host)
				}
			}
			verdicts := map[string]Verdict{}
			for _, s := range all {
				verdicts[s.host] = passes
			}
			turned := map[string]string{}
			for host := range waiting {
				turned[host] = ""
			}
			for day := range horizon {
				c.policy.Now = c.at.AddDate(0, 0, day).Format(time.RFC3339)
				out, err := Gate(c.d, verdicts, c.policy)
				if err != nil {
					t.Fatal(err)
				}
				c.d = out.Plan
				for _, decision := range out.Decisions {
					if _, ok := turned[decision.Host]; ok && decision.Fresh {
						turned[decision.Host] = c.policy.Now
						late += min(day, 1)
					}
				}
			}
			if diff := cmp.Diff(turned, waiting); diff != "" {
				t.Errorf("turned on (-) and foretold (+):\n%s", diff)
			}
		})
	}
	if late == 0 {
		t.Error("nothing was held back for a day")
	}
}

// A project without a quota waits for ever.
func TestNoRelease(t *testing.T) {
	c := newClock(t)
	c.quotas = map[string]int{"acme-site": 0}
	c.run(0, site{"a.shop.com", "acme-site", "n1", nil})
	want := []Release{{Host: "a.shop.com", Reason: ReasonQuota}}
	if diff := cmp.Diff(want, Releases(c.d, c.at, c.at.AddDate(1, 0, 0))); diff != "" {
		t.Error(diff)
	}
}
