package calendar_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate/calendar"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

var now = time.Date(2026, 11, 30, 6, 0, 0, 0, time.UTC)

// A host is a virtual host of a plan, with the gate's entry unless that is nil.
type host struct {
	name, node, organisation string
	aliases                  []string
	entry                    *plan.GateEntry
}

func ordered(at time.Time, names ...string) *plan.GateEntry {
	return &plan.GateEntry{Decision: plan.GateOn, Node: "n1", Verdict: "pass", Reason: "a-match", Ordered: stamp(at), OrderedNames: names}
}

func stamp(t time.Time) string { return t.Format(time.RFC3339) }

// document makes a plan: each virtual host is an environment's own, on n1 unless it says
// otherwise.
func document(hosts ...host) plan.Document {
	on := true
	d := plan.Document{HostenvHostname: "hosting.example", Environments: map[string]plan.Environment{}, Nodes: map[string]plan.Node{}, DNSGate: map[string]plan.GateEntry{}}
	for _, h := range hosts {
		if h.node == "" {
			h.node = "n1"
		}
		if h.organisation == "" {
			h.organisation = "acme"
		}
		off := h.entry != nil && h.entry.Decision == plan.GateOff
		acme := on && !off
		v := plan.VirtualHost{EnableACME: &acme, ServerAliases: h.aliases}
		d.Environments[h.name] = plan.Environment{Node: h.node, Hostenv: plan.Identity{Organisation: h.organisation, Project: "site"}, VirtualHosts: map[string]plan.VirtualHost{h.name: v}}
		if d.Nodes[h.node].Services.Nginx.VirtualHosts == nil {
			d.Nodes[h.node] = plan.Node{Services: plan.Services{Nginx: plan.Nginx{VirtualHosts: map[string]plan.VirtualHost{}}}}
		}
		d.Nodes[h.node].Services.Nginx.VirtualHosts[h.name] = v
		if h.entry != nil {
			e := *h.entry
			e.Asked.EnableACME = true
			d.DNSGate[h.name] = e
		}
	}
	return d
}

// shown writes events as "day kind host", with the limits of those that are not safe.
func shown(events []calendar.Event) []string {
	var lines []string
	for _, e := range events {
		line := fmt.Sprintf("%s %s %s", e.Day, e.Kind, e.Host)
		if !e.Safe {
			line += " " + strings.Join(e.Limits, ",")
		}
		if e.Waits != "" {
			line += " (" + string(e.Waits) + ")"
		}
		lines = append(lines, line)
	}
	return lines
}

func kinds(all []calendar.Trouble) []string {
	var lines []string
	for _, t := range all {
		lines = append(lines, t.String())
	}
	return lines
}

func TestRenewals(t *testing.T) {
	for name, test := range map[string]struct {
		profile plan.CertificateProfile
		days    int
		horizon int
		want    []string
	}{
		// Before 2027-02-10 a certificate lives 90 days, then 64: validMinDays 30 renews it
		// 31 days before it expires.
		"classic, validMinDays 30": {plan.Classic, 30, 140, []string{"2026-12-30 renewal www.acme.com", "2027-02-27 renewal www.acme.com", "2027-04-02 renewal www.acme.com"}},
		"classic, dynamic":         {plan.Classic, 0, 140, []string{"2026-12-30 renewal www.acme.com", "2027-02-28 renewal www.acme.com", "2027-04-12 renewal www.acme.com"}},
		"tlsserver, dynamic":       {plan.TLSServer, 0, 80, []string{"2026-11-30 renewal www.acme.com", "2026-12-31 renewal www.acme.com", "2027-01-30 renewal www.acme.com"}},
		"shortlived, dynamic":      {plan.Shortlived, 0, 12, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c := calendar.Of(document(host{name: "www.acme.com", entry: ordered(now.AddDate(0, 0, -30))}),
				calendar.Options{Now: now, Days: test.horizon, Profile: test.profile, ValidMinDays: test.days})
			t.Log(shown(c.Events))
			if diff := cmp.Diff(test.want, shown(c.Events)); test.want != nil && diff != "" {
				t.Error(diff)
			}
			for _, e := range c.Events {
				if !e.Safe || e.Earliest.After(e.At) || e.At.After(e.Latest) {
					t.Errorf("%+v is not safe, or expected outside of its window", e)
				}
			}
			if len(c.Troubles) > 0 {
				t.Errorf("troubles: %v", kinds(c.Troubles))
			}
		})
	}
}

// A change of the profile orders a certificate anew. It takes no token of its account or
// domain if Let's Encrypt issued the one before.
func TestChangedProfile(t *testing.T) {
	d := document()
	all := []host{}
	for i := range 60 { // more than the domain's limit
		all = append(all, host{name: fmt.Sprintf("a%d.acme.com", i), entry: ordered(now.AddDate(0, 0, -10))})
	}
	d = document(all...)
	d.CertificateProfile = plan.TLSServer
	check := func(when string, d plan.Document, safe bool) {
		t.Helper()
		c := calendar.Of(d, calendar.Options{Now: now, Days: 7, ValidMinDays: 30})
		changed := 0
		for _, e := range c.Events {
			if e.Kind == calendar.Changed {
				changed++
			} else {
				t.Errorf("%s: %s of %s", when, e.Kind, e.Host)
			}
		}
		if changed != 60 || (len(c.Troubles) == 0) != safe || c.Terms.Profile != plan.TLSServer {
			t.Errorf("%s: %d orders, terms %s, troubles %v", when, changed, c.Terms, kinds(c.Troubles))
		}
	}
	check("before the gate", d, true)
	at := now.Format(time.RFC3339)
	gated := map[string]plan.GateEntry{}
	for name, e := range d.DNSGate {
		e.OrderedNames = []string{name}
		e.FormerOrders = []plan.Order{{Names: e.OrderedNames, Node: e.Node, Ordered: e.Ordered, Until: at}}
		e.Ordered, e.Profile = at, plan.TLSServer
		gated[name] = e
	}
	d.DNSGate = gated
	check("after it", d, true)
	for name, e := range d.DNSGate {
		e.FormerOrders[0].Ordered = now.Add(-time.Hour).Format(time.RFC3339)
		gated[name] = e
	}
	c := calendar.Of(d, calendar.Options{Now: now, Days: 7, ValidMinDays: 30})
	if len(c.Troubles) == 0 {
		t.Error("orders an hour before are taken for issued")
	}
}

// With validMinDays 30 a certificate of 160 hours is always due.
func TestRenewedDaily(t *testing.T) {
	c := calendar.Of(document(host{name: "a.com", entry: ordered(now.AddDate(0, 0, -3))}, host{name: "b.com", entry: ordered(now.AddDate(0, 0, -3))}),
		calendar.Options{Now: now, Days: 20, Profile: plan.Shortlived, ValidMinDays: 30})
	want := []string{"2 shortlived certificates are renewed every day, and Let's Encrypt allows 5 a week for the same names (renewed-daily)"}
	if diff := cmp.Diff(want, kinds(c.Troubles)); diff != "" {
		t.Error(diff)
	}
	if len(c.Undated) != 2 {
		t.Errorf("undated: %v", c.Undated)
	}
	c = calendar.Of(document(host{name: "a.com", entry: ordered(now.AddDate(0, 0, -3))}), calendar.Options{Now: now, Days: 20, Profile: plan.Shortlived, ValidMinDays: 4})
	if len(c.Troubles) > 0 {
		t.Errorf("troubles with 4 days: %v", kinds(c.Troubles))
	}
}

func TestChangesOfTerms(t *testing.T) {
	c := calendar.Of(document(), calendar.Options{Now: now})
	if len(c.Changes) != 1 || c.Changes[0].From.Format(time.DateOnly) != "2027-02-10" {
		t.Errorf("changes within a year: %v", c.Changes)
	}
}

func TestFirstAndChanged(t *testing.T) {
	c := calendar.Of(document(
		host{name: "ordered-today.com", entry: ordered(now.Add(-time.Hour))},
		host{name: "aliased.com", aliases: []string{"www.aliased.com"}, entry: ordered(now.AddDate(0, 0, -20), "aliased.com")},
		host{name: "same.com", aliases: []string{"www.same.com"}, entry: ordered(now.AddDate(0, 0, -20), "same.com", "www.same.com")},
		host{name: "not-judged.com"},
		host{name: "moved.com", node: "n2", entry: ordered(now.AddDate(0, 0, -20))},
		host{name: "old.com", entry: &plan.GateEntry{Decision: plan.GateOn, Node: "n1", Verdict: "pass"}},
	), calendar.Options{Now: now, Days: 7})
	want := []string{
		"2026-11-30 changed aliased.com",
		"2026-11-30 first moved.com (not-judged)",
		"2026-11-30 first not-judged.com (not-judged)",
		"2026-11-30 first ordered-today.com",
	}
	if diff := cmp.Diff(want, shown(c.Events)); diff != "" {
		t.Error(diff)
	}
	if len(c.Undated) != 1 || c.Undated[0].Host != "old.com" {
		t.Errorf("undated: %v", c.Undated)
	}
}

// What a node serves is more exact than the plan.
func TestServed(t *testing.T) {
	served := map[string]calendar.Served{"old.com": {Node: "n1", NotBefore: now.AddDate(0, 0, -50), NotAfter: now.AddDate(0, 0, 40)}}
	d := document(host{name: "old.com", entry: &plan.GateEntry{Decision: plan.GateOn, Node: "n1", Verdict: "unknown"}})
	c := calendar.Of(d, calendar.Options{Now: now, Days: 20, ValidMinDays: 30, Served: served})
	if diff := cmp.Diff([]string{"2026-12-09 renewal old.com"}, shown(c.Events)); diff != "" || len(c.Undated)+len(c.Troubles) > 0 {
		t.Error(diff, c.Undated, c.Troubles)
	}
}

func many(n int, entry func(i int) *plan.GateEntry, name string) []host {
	var hosts []host
	for i := range n {
		hosts = append(hosts, host{name: fmt.Sprintf(name, i), entry: entry(i)})
	}
	return hosts
}

func TestLimits(t *testing.T) {
	none := func(int) *plan.GateEntry { return nil }
	for name, test := range map[string]struct {
		hosts  []host
		unsafe int
		want   []string
	}{
		"50 of a domain": {many(50, none, "h%d.acme.com"), 0, nil},
		"51 of a domain": {many(51, none, "h%d.acme.com"), 51, []string{
			"acme.com: Let's Encrypt may refuse some of 51 orders until 2026-12-02: it allows 50 within a week (certificates-per-registered-domain)"}},
		"50 ordered yesterday": {append(many(50, func(int) *plan.GateEntry { return ordered(now.AddDate(0, 0, -2)) }, "o%d.acme.com"), many(7, none, "h%d.acme.com")...), 0, nil},
		"and 9 more":           {append(many(50, func(int) *plan.GateEntry { return ordered(now.AddDate(0, 0, -2)) }, "o%d.acme.com"), many(15, none, "h%d.acme.com")...), 15, nil},
		"renewals of 200":      {many(200, func(int) *plan.GateEntry { return ordered(now.AddDate(0, 0, -60)) }, "h%d.acme.com"), 0, nil},
		"300 of an account":    {many(300, none, "www.h%d.com"), 0, nil},
		"301 of an account": {many(301, none, "www.h%d.com"), 301, []string{
			"n1: Let's Encrypt may refuse some of 301 orders until 2026-12-02: it allows 300 within 3 hours (orders-per-account)"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := calendar.Of(document(test.hosts...), calendar.Options{Now: now, Days: 1, ValidMinDays: 30})
			unsafe := 0
			for _, e := range c.Events {
				if !e.Safe {
					unsafe++
				}
			}
			if unsafe != test.unsafe {
				t.Errorf("%d of %d orders are not safe, want %d: %v", unsafe, len(c.Events), test.unsafe, kinds(c.Troubles))
			}
			if diff := cmp.Diff(test.want, kinds(c.Troubles)); test.want != nil && diff != "" {
				t.Error(diff)
			}
		})
	}
}

// One domain with a thousand new names does not make another customer's order next month
// unsafe.
func TestOneDomainJams(t *testing.T) {
	hosts := many(1000, func(int) *plan.GateEntry { return nil }, "h%d.acme.com")
	hosts = append(hosts, many(60, func(int) *plan.GateEntry {
		return &plan.GateEntry{Decision: plan.GateOff, Node: "n1", Verdict: "fail", Reason: string(dnsgate.ReasonQuota)}
	}, "www.x%d.com")...)
	for i := range hosts[1000:] {
		hosts[1000+i].organisation = "other"
	}
	d := document(hosts...)
	d.Certificates = map[string]int{"other__site": 30}
	c := calendar.Of(d, calendar.Options{Now: now, Days: 60, ValidMinDays: 30})
	for _, e := range c.Events {
		if e.Organisation == "other" && e.Waits == dnsgate.ReasonQuota && e.Day > "2026-12-03" && !e.Safe {
			t.Fatalf("%+v is not safe: %v", e, kinds(c.Troubles))
		}
		if e.Kind == calendar.First && e.Organisation == "acme" && e.Safe {
			t.Fatalf("%s is safe", e.Host)
		}
	}
}

func TestFailing(t *testing.T) {
	unknown := &plan.GateEntry{Decision: plan.GateOn, Node: "n1", Verdict: "unknown", Reason: "lookup-failed", Name: "shared.com", Ordered: stamp(now.AddDate(0, 0, -10))}
	fails := &plan.GateEntry{Decision: plan.GateOff, Node: "n1", Verdict: "fail", Reason: "a-mismatch", Name: "off.com", Fix: "change it"}
	kept := &plan.GateEntry{Decision: plan.GateOn, Node: "n1", Verdict: "fail", Reason: "nxdomain", Name: "kept.com", KeepUntil: stamp(now.AddDate(0, 0, 9))}
	c := calendar.Of(document(
		host{name: "once.com", entry: &plan.GateEntry{Decision: plan.GateOn, Node: "n1", Verdict: "unknown", Reason: "proxied", Name: "once.com"}},
		host{name: "shared.com", entry: unknown}, host{name: "x.shared.com", entry: unknown}, host{name: "y.shared.com", entry: unknown},
		host{name: "off.com", entry: fails}, host{name: "kept.com", entry: kept},
	), calendar.Options{Now: now})
	want := []string{
		"once.com on n1: orders may fail, up to 1 a day; Let's Encrypt has counted 1 of 1152 failures, and never pauses it at that rate",
		"shared.com on n1: orders may fail, up to 3 a day; Let's Encrypt has counted 75 of 1152 failures, and pauses it on 2028-05-21",
		"off.com: has no certificate: a-mismatch of off.com",
		"kept.com: its certificate expires on 2026-12-09, and cannot be renewed: nxdomain of kept.com",
	}
	if diff := cmp.Diff(want, kinds(c.Troubles)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"2026-12-09 expiry kept.com"}, shown(c.Events)); diff != "" {
		t.Error(diff)
	}
}

func TestQuota(t *testing.T) {
	hosts := many(3, func(int) *plan.GateEntry { return ordered(now.AddDate(0, 0, -2)) }, "on%d.com")
	hosts = append(hosts, many(4, func(int) *plan.GateEntry {
		return &plan.GateEntry{Decision: plan.GateOff, Node: "n1", Verdict: "fail", Reason: string(dnsgate.ReasonQuota)}
	}, "waits%d.com")...)
	d := document(hosts...)
	d.Certificates = map[string]int{"acme__site": 3}
	c := calendar.Of(d, calendar.Options{Now: now, Days: 13})
	want := []string{"2026-12-05 first waits0.com (quota)", "2026-12-05 first waits1.com (quota)", "2026-12-05 first waits2.com (quota)", "2026-12-12 first waits3.com (quota)"}
	if diff := cmp.Diff(want, shown(c.Events)); diff != "" {
		t.Error(diff)
	}
}

// 14 of 50 tokens of a domain are back after two days, and 7 more each day. What no run
// of the calendar turns on is a trouble.
func TestRateLimit(t *testing.T) {
	hosts := many(50, func(int) *plan.GateEntry { return ordered(now.AddDate(0, 0, -2)) }, "on%d.acme.com")
	hosts = append(hosts, many(27, func(int) *plan.GateEntry {
		return &plan.GateEntry{Decision: plan.GateOff, Node: "n1", Verdict: "fail", Reason: string(dnsgate.ReasonRateLimit), Name: "waits.acme.com", Fix: "run it later"}
	}, "waits%02d.acme.com")...)
	d := document(hosts...)
	d.Certificates = map[string]int{"acme__site": 100}
	count := func(days int) (first map[string]int, troubles []string) {
		first = map[string]int{}
		c := calendar.Of(d, calendar.Options{Now: now, Days: days, ValidMinDays: 30})
		for _, e := range c.Events {
			if e.Waits == dnsgate.ReasonRateLimit && e.Kind == calendar.First {
				first[e.Day]++
			}
		}
		for _, trouble := range c.Troubles {
			if trouble.Kind == calendar.Off {
				troubles = append(troubles, trouble.String())
			}
		}
		return first, troubles
	}
	first, troubles := count(7)
	if diff := cmp.Diff(map[string]int{"2026-11-30": 14, "2026-12-01": 7, "2026-12-02": 6}, first); diff != "" || len(troubles) > 0 {
		t.Error(diff, troubles)
	}
	first, troubles = count(1)
	if diff := cmp.Diff(map[string]int{"2026-11-30": 14}, first); diff != "" || len(troubles) != 13 || troubles[0] != "waits14.acme.com: has no certificate: rate-limit of waits.acme.com" {
		t.Error(diff, troubles)
	}
}

// A certificate of the profiles tlsserver and shortlived can have 25 names.
func TestTooManyNames(t *testing.T) {
	aliases := func(n int) []string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf("a%d.acme.com", i))
		}
		return all
	}
	d := document(
		host{name: "more.acme.com", aliases: aliases(25), entry: ordered(now.AddDate(0, 0, -10))},
		host{name: "enough.acme.com", aliases: aliases(24), entry: ordered(now.AddDate(0, 0, -10))},
		host{name: "older.acme.com", aliases: aliases(25), entry: &plan.GateEntry{Decision: plan.GateOn, Node: "n1", Verdict: "pass"}},
		host{name: "new.acme.com", aliases: append(aliases(25), "a1.acme.com")},
		host{name: "off.acme.com", aliases: aliases(25), entry: &plan.GateEntry{Decision: plan.GateOff, Node: "n1", Verdict: "fail", Reason: "nxdomain", Name: "off.acme.com"}})
	for profile, want := range map[plan.CertificateProfile][]string{
		plan.Classic: nil,
		plan.TLSServer: {
			"more.acme.com: Let's Encrypt refuses its orders: it has 26 names, and a certificate of this profile can have 25 (too-many-names)",
			"new.acme.com: Let's Encrypt refuses its orders: it has 26 names, and a certificate of this profile can have 25 (too-many-names)",
			"older.acme.com: Let's Encrypt refuses its orders: it has 26 names, and a certificate of this profile can have 25 (too-many-names)",
		},
	} {
		c := calendar.Of(d, calendar.Options{Now: now, Days: 60, Profile: profile})
		var got []string
		for _, trouble := range c.Troubles {
			if trouble.Kind == calendar.TooManyNames {
				got = append(got, trouble.String())
				if trouble.Hint() == "" {
					t.Errorf("%s has no hint", trouble)
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", profile, diff)
		}
		for _, e := range c.Events {
			if safe := want == nil || e.Host == "enough.acme.com"; e.Safe != safe {
				t.Errorf("%s: %s of %s is safe: %v, %v", profile, e.Kind, e.Host, e.Safe, e.Limits)
			}
		}
	}
}

// A certificate by DNS-01 of a customer's wildcard is ordered and renewed as all others, and
// counts for its domain. That of generated names is none of theirs.
func TestWildcardsCount(t *testing.T) {
	d := document(host{name: "*.shop.com", entry: ordered(now.AddDate(0, 0, -10), "*.shop.com")}, host{name: "a.hosting.example"})
	_, generated := plan.GeneratedWildcard(d.HostenvHostname)
	for name, certificate := range map[string]string{"*.shop.com": plan.WildcardCertificate("*.shop.com"), "a.hosting.example": generated} {
		v := plan.VirtualHost{}.WithTLS(plan.TLS{ForceSSL: true, Shared: certificate})
		d.Environments[name].VirtualHosts[name], d.Nodes["n1"].Services.Nginx.VirtualHosts[name] = v, v
		d.Wildcards = append(d.Wildcards, plan.Wildcard{Node: "n1", Certificate: certificate, Names: []string{name}})
	}
	renewals := 0
	for _, e := range calendar.Of(d, calendar.Options{Now: now, Days: 100}).Events {
		if e.Host != "*.shop.com" || fmt.Sprint(e.Names, e.Domains) != "[*.shop.com] [shop.com]" {
			t.Errorf("%s %s: names %v, domains %v", e.Kind, e.Host, e.Names, e.Domains)
		}
		if e.Kind == calendar.Renewal {
			renewals++
		}
	}
	if renewals == 0 {
		t.Error("it is never renewed")
	}
}
