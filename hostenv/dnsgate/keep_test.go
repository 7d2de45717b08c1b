package dnsgate

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

func TestReadHSTS(t *testing.T) {
	for value, want := range map[string]hstsPolicy{
		"max-age=31536000": {true, false},
		"max-age=63072000; includeSubDomains; preload": {true, true},
		"includesubdomains; MAX-AGE=\"300\"":           {true, true},
		"max-age=0":                                    {false, false},
		"max-age=0; includeSubDomains":                 {false, false},
		"":                                             {false, false},
		"preload":                                      {false, false},
		"max-age=-1":                                   {false, false},
		"max-age=x":                                    {false, false},
		"max-age = 5 ;includeSubDomains":               {true, true},
		"max-age=99999999999999999999; includeSubDomains": {false, false}, // no number that browsers take
	} {
		if got := readHSTS(value); got != want {
			t.Errorf("readHSTS(%q) is %v, want %v", value, got, want)
		}
	}
}

// with returns a host's plan with more options of its virtual host, as JSON.
func with(t *testing.T, h asking, options map[string]string) plan.Document {
	t.Helper()
	d := planOf(h)
	e := d.Environments[h.user]
	v := e.VirtualHosts[h.host]
	for name, value := range options {
		parsed, err := canonjson.Parse([]byte(value))
		if err != nil {
			t.Fatal(err)
		}
		v.Carried = v.Carried.With(name, parsed)
	}
	e.VirtualHosts[h.host] = v
	return d
}

func TestPromises(t *testing.T) {
	h := asking{"shop.example.com", "u", "n1", true}
	for _, c := range []struct {
		name    string
		options map[string]string
		served  string
		want    map[string]bool
	}{
		{"no option", nil, "", map[string]bool{h.host: false, "www." + h.host: false}},
		{"hsts", map[string]string{"hsts": "true"}, "", map[string]bool{h.host: true, "www." + h.host: true, "a." + h.host: false, "example.com": false}},
		{"security.hsts", map[string]string{"security": `{"hsts":true}`}, "", map[string]bool{h.host: true}},
		{"both, and one says no", map[string]string{"hsts": "true", "security": `{"hsts":false}`}, "", map[string]bool{h.host: false}},
		{"the server's header", map[string]string{"extraConfig": `"add_header Strict-Transport-Security \"max-age=9; includeSubDomains; preload\" always;"`}, "", map[string]bool{h.host: true, "a.b." + h.host: true, "example.com": false}},
		{"in quotes of the other kind", map[string]string{"extraConfig": `"add_header 'strict-transport-security' 'max-age=9';"`}, "", map[string]bool{h.host: true}},
		{"without quotes", map[string]string{"extraConfig": `"add_header Strict-Transport-Security max-age=9;"`}, "", map[string]bool{h.host: true}},
		{"a variable", map[string]string{"extraConfig": `"add_header Strict-Transport-Security $hsts_header;"`}, "", map[string]bool{h.host: true, "a." + h.host: false}},
		{"another header", map[string]string{"extraConfig": `"add_header X-Frame-Options DENY; # Strict-Transport-Security max-age=9"`}, "", map[string]bool{h.host: false}},
		{"withdrawn", map[string]string{"extraConfig": `"add_header Strict-Transport-Security max-age=0;"`}, "", map[string]bool{h.host: false}},
		{"a location's header", map[string]string{"locations": `{"/":{"extraConfig":"add_header Strict-Transport-Security \"max-age=9\";"}}`}, "", map[string]bool{h.host: true}},
		{"served by the site itself", nil, "max-age=9; includeSubDomains", map[string]bool{h.host: true, "x." + h.host: true}},
		{"a top-level domain that is preloaded", nil, "", map[string]bool{"a.dev": true, "a.b.app": true, "a.developer.com": false}},
	} {
		t.Run(c.name, func(t *testing.T) {
			served := map[string]*Served{h.host: {HSTS: c.served}}
			all := promisesOf(with(t, h, c.options), served)
			for name, want := range c.want {
				if got := all.of(name); got != want {
					t.Errorf("the promise of %s is %v", name, got)
				}
			}
		})
	}
	off := asking{h.host, "u", "n1", false}
	if promisesOf(with(t, off, map[string]string{"hsts": "true"}), nil).of(h.host) {
		t.Error("a host that asks for no TLS promises HSTS: the front door sends no header then")
	}
}

// A host with HSTS that fails keeps its certificate as long as that is valid.
func TestKeep(t *testing.T) {
	const now, later, past = "2026-12-01T00:00:00Z", "2027-01-15T00:00:00Z", "2026-11-01T00:00:00Z"
	h := asking{"shop.example.com", "u", "n1", true}
	ours := []string{h.host, "www." + h.host}
	good := &Served{Issuer: "CN=R12,O=Let's Encrypt,C=US", Subject: "CN=" + h.host, Names: ours, NotAfter: later}
	but := func(change func(*Served)) *Served {
		s := *good
		change(&s)
		return &s
	}
	deaf := &Served{Error: "connection refused"}
	passed := plan.GateEntry{Decision: on, Node: "n1", Verdict: string(Pass), Reason: "a-match"}
	entry := func(change func(*plan.GateEntry)) *plan.GateEntry {
		e := passed
		change(&e)
		return &e
	}
	same := func(*plan.GateEntry) {}
	for _, c := range []struct {
		name    string
		plain   bool // no HSTS
		verdict Verdict
		old     *plan.GateEntry
		served  *Served
		want    string // the decision
		until   string
	}{
		{"served and valid", false, fails, entry(same), good, on, later},
		{"without HSTS", true, fails, entry(same), good, off, ""},
		{"served and expired", false, fails, entry(same), but(func(s *Served) { s.NotAfter = past }), off, past},
		{"expires now", false, fails, entry(same), but(func(s *Served) { s.NotAfter = now }), off, now},
		{"the preliminary certificate", false, fails, entry(same), but(func(s *Served) { s.Issuer = "CN=minica root ca 1a2b3c" }), off, ""},
		{"self-signed", false, fails, entry(same), but(func(s *Served) { s.Issuer = s.Subject }), off, ""},
		{"of another host", false, fails, entry(same), but(func(s *Served) { s.Names = []string{"other.example"} }), off, ""},
		{"a wildcard", false, fails, entry(same), but(func(s *Served) { s.Names = []string{"*.example.com"} }), on, later},
		{"without a date", false, fails, entry(same), but(func(s *Served) { s.NotAfter = "" }), off, ""},
		{"no look, and no order known", false, fails, entry(same), nil, off, now},
		{"the node does not answer, and no order known", false, fails, entry(same), deaf, off, now},
		{"no look, ordered a month ago", false, fails, entry(func(e *plan.GateEntry) { e.Ordered = past }), nil, on, "2027-01-30T00:00:00Z"},
		{"no look, ordered a month ago by a profile with short lifetimes", false, fails, entry(func(e *plan.GateEntry) { e.Ordered, e.Profile = past, plan.Shortlived }), nil, off, "2026-11-07T16:00:00Z"},
		{"no look, ordered a month ago, and it never passed", false, fails, entry(func(e *plan.GateEntry) { e.Ordered, e.Verdict = past, string(Unknown) }), nil, off, now},
		{"the look outweighs the order", false, fails, entry(func(e *plan.GateEntry) { e.Ordered = past }), good, on, later},
		{"no look, ordered a year ago", false, fails, entry(func(e *plan.GateEntry) { e.Ordered = "2025-12-01T00:00:00Z" }), nil, off, "2026-03-01T00:00:00Z"},
		{"no look, kept by an earlier one", false, fails, entry(func(e *plan.GateEntry) { e.Verdict, e.Reason, e.KeepUntil = "fail", "a-mismatch", later }), deaf, on, later},
		{"kept until now", false, fails, entry(func(e *plan.GateEntry) { e.Verdict, e.Reason, e.KeepUntil = "fail", "a-mismatch", past }), nil, off, past},
		{"kept, and unknown", false, dunno, entry(func(e *plan.GateEntry) { e.Verdict, e.Reason, e.KeepUntil = "fail", "a-mismatch", later }), nil, on, later},
		{"kept until now, and unknown", false, dunno, entry(func(e *plan.GateEntry) { e.Verdict, e.Reason, e.KeepUntil = "fail", "a-mismatch", past }), nil, off, past},
		{"kept, and mended", false, passes, entry(func(e *plan.GateEntry) { e.Verdict, e.KeepUntil = "fail", later }), nil, on, ""},
		{"on another node", false, fails, entry(func(e *plan.GateEntry) { e.Node = "n2" }), good, off, ""},
		{"off already", false, fails, entry(func(e *plan.GateEntry) { e.Decision, e.Verdict = off, "fail" }), good, off, ""},
		{"out of reach already", false, fails, entry(func(e *plan.GateEntry) { e.Decision, e.Verdict, e.KeepUntil = off, "fail", past }), nil, off, past},
		{"new", false, fails, nil, nil, off, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			options := map[string]string{"hsts": "true"}
			if c.plain {
				options = nil
			}
			d := with(t, h, options)
			if c.old != nil {
				old := *c.old
				old.Asked = plan.Asked{EnableACME: true, ForceSSL: true}
				d.DNSGate = map[string]plan.GateEntry{h.host: old}
				if !isOn(&old) {
					d = d.WithTLS(map[string]map[string]plan.TLS{h.user: {h.host: {}}})
				}
			}
			policy := Policy{Now: now}
			if c.served != nil {
				policy.Served = map[string]*Served{h.host: c.served}
			}
			out, err := Gate(d, map[string]Verdict{h.host: c.verdict}, policy)
			if err != nil {
				t.Fatal(err)
			}
			e := out.Plan.DNSGate[h.host]
			if got := certificate(t, out.Plan, h); got != c.want || e.Decision != c.want || e.KeepUntil != c.until {
				t.Errorf("the certificate is %s, and the entry %s until %q, want %s until %q", got, e.Decision, e.KeepUntil, c.want, c.until)
			}
			if d := out.Decisions[0]; d.On != (c.want == on) || d.KeepUntil != c.until || d.HSTS == c.plain {
				t.Errorf("the decision is %+v", d)
			}
			// The same facts change nothing a second time.
			again, err := Gate(out.Plan, map[string]Verdict{h.host: c.verdict}, policy)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(out.Plan.Encode()), string(again.Plan.Encode())); diff != "" {
				t.Errorf("a second run changes the plan:\n%s", diff)
			}
		})
	}
}

// A name below a host that promises HSTS for its subdomains keeps its certificate too.
func TestKeepBelowParent(t *testing.T) {
	parent, child := asking{"example.com", "u", "n1", true}, asking{"shop.example.com", "u", "n1", true}
	d := planOf(parent, child)
	v := d.Environments["u"].VirtualHosts[parent.host]
	v.Carried = v.Carried.With("extraConfig", []byte(`"add_header Strict-Transport-Security \"max-age=9; includeSubDomains\";"`))
	d.Environments["u"].VirtualHosts[parent.host] = v
	d.DNSGate = map[string]plan.GateEntry{child.host: {Decision: on, Node: "n1", Verdict: string(Pass)}}
	served := &Served{Issuer: "CN=R12", Subject: "CN=x", Names: []string{child.host}, NotAfter: "2027-01-15T00:00:00Z"}
	out, err := Gate(d, map[string]Verdict{child.host: fails}, Policy{Now: "2026-12-01T00:00:00Z", Served: map[string]*Served{child.host: served}})
	if err != nil {
		t.Fatal(err)
	}
	if got := certificate(t, out.Plan, child); got != on {
		t.Errorf("the certificate is %s", got)
	}
}

// Many certificates that end on one day are turned off in spite of the brake: their
// browsers lose nothing.
func TestKeptCertificatesEnd(t *testing.T) {
	a, b := asking{"a.example.com", "u", "n1", true}, asking{"b.example.com", "u", "n1", true}
	d := planOf(a, b)
	d.DNSGate = map[string]plan.GateEntry{}
	for _, h := range []asking{a, b} {
		v := d.Environments["u"].VirtualHosts[h.host]
		v.Carried = v.Carried.With("hsts", []byte("true"))
		d.Environments["u"].VirtualHosts[h.host] = v
		d.DNSGate[h.host] = plan.GateEntry{Decision: on, Node: "n1", Verdict: "fail", Reason: "a-mismatch", KeepUntil: "2026-12-01T00:00:00Z"}
	}
	verdicts := map[string]Verdict{a.host: fails, b.host: fails}
	out, err := Gate(d, verdicts, Policy{Now: "2026-12-02T00:00:00Z"})
	if err != nil {
		t.Fatal(err)
	}
	if certificate(t, out.Plan, a) != off || certificate(t, out.Plan, b) != off {
		t.Error("certificates that are over stay on")
	}
}

func TestOutOfReach(t *testing.T) {
	h := asking{"shop.example.com", "u", "n1", true}
	d := with(t, h, map[string]string{"hsts": "true"})
	e := d.Environments["u"]
	e.Hostenv = plan.Identity{Organisation: "acme", Project: "shop"}
	e.Carried = e.Carried.With("users", []byte(`{"alice":{"email":"alice@acme.example"},"bob":{"email":null},"zoe":{}}`))
	d.Environments["u"] = e
	d.Certificates = map[string]int{"acme__shop": 50}
	d.DNSGate = map[string]plan.GateEntry{h.host: {Decision: on, Node: "n1", Verdict: string(Pass)}}
	served := &Served{Issuer: "CN=R12", Subject: "CN=x", Names: []string{h.host}, NotAfter: "2027-01-15T00:00:00Z"}
	out, err := Gate(d, map[string]Verdict{h.host: fails}, Policy{Now: "2026-12-01T00:00:00Z", Served: map[string]*Served{h.host: served}})
	if err != nil {
		t.Fatal(err)
	}
	want := []Unreachable{{
		Host: h.host, Node: "n1", Environment: "u", From: served.NotAfter, Organisation: "acme", Project: "shop",
		Contacts: []string{"alice@acme.example"}, Reason: ReasonAMismatch, Fix: "change it",
	}}
	if diff := cmp.Diff(want, OutOfReach(out)); diff != "" {
		t.Errorf("the hosts (-want +got):\n%s", diff)
	}
	mended, err := Gate(out.Plan, map[string]Verdict{h.host: passes}, Policy{Now: "2026-12-02T00:00:00Z"})
	if err != nil {
		t.Fatal(err)
	}
	if all := OutOfReach(mended); len(all) > 0 {
		t.Errorf("a host that passes is out of reach: %v", all)
	}
}

// Over random years of passes, failures and looks at the node, a host with HSTS never
// loses TLS that browsers accept, and never keeps a certificate that ended.
func TestKeepHistories(t *testing.T) {
	h := asking{"shop.example.com", "u", "n1", true}
	const day = 24 * time.Hour
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 7))
		hsts := r.IntN(4) > 0
		d := planOf(h)
		if hsts {
			d = with(t, h, map[string]string{"hsts": "true"})
		}
		now := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
		var end time.Time // of the certificate on the node, the zero time if it has none
		passing := true
		for step := range 60 {
			now = now.Add(time.Duration(1+r.IntN(20)) * day)
			if r.IntN(4) == 0 {
				passing = !passing
			}
			verdict := fails
			switch {
			case r.IntN(6) == 0:
				verdict = dunno
			case passing:
				verdict = passes
			}
			policy := Policy{Now: now.Format(time.RFC3339), Served: map[string]*Served{}}
			look := r.IntN(4) > 0
			switch {
			case !look:
				policy.Served[h.host] = &Served{Error: "timeout"}
			case end.IsZero():
				policy.Served[h.host] = &Served{Issuer: "CN=minica root ca 1", Subject: "CN=x", Names: []string{h.host}, NotAfter: now.Add(900 * day).Format(time.RFC3339)}
			default:
				policy.Served[h.host] = &Served{Issuer: "CN=R12", Subject: "CN=x", Names: []string{h.host}, NotAfter: end.Format(time.RFC3339)}
			}
			before := certificate(t, d, h)
			old := d.DNSGate[h.host]
			out, err := Gate(d, map[string]Verdict{h.host: verdict}, policy)
			if err != nil {
				t.Fatal(err)
			}
			d = Carry(out.Plan, out.Plan)
			got, entry := certificate(t, d, h), d.DNSGate[h.host]
			failing := verdict.Result == Fail || verdict.Result == Unknown && old.Verdict == string(Fail)
			switch {
			case failing && !hsts && got == on:
				t.Fatalf("seed %d, step %d: on without HSTS", seed, step)
			case failing && got == on && entry.KeepUntil <= policy.Now:
				t.Fatalf("seed %d, step %d: on at %s, and kept until %q", seed, step, policy.Now, entry.KeepUntil)
			case hsts && look && before == on && old.Node != "" && end.After(now) && got == off:
				t.Fatalf("seed %d, step %d: off at %s with a certificate until %s", seed, step, policy.Now, end)
			case failing && look && got == on && !end.After(now) && verdict.Result == Fail:
				t.Fatalf("seed %d, step %d: on at %s with a certificate until %s", seed, step, policy.Now, end)
			}
			// The deploy: an order, or a renewal in the last third, succeeds if the name passes.
			switch {
			case got == off:
				end = time.Time{}
			case passing && (end.IsZero() || end.Sub(now) < 30*day):
				end = now.Add(90 * day)
			}
		}
	}
}
