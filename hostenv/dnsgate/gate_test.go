package dnsgate

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// asking is a virtual host of a plan that was just computed.
type asking struct {
	host, user, node string
	acme             bool
}

// planOf makes a plan as plan.Compute does.
func planOf(hosts ...asking) plan.Document {
	environments, nodes := map[string]plan.Environment{}, map[string]plan.Node{}
	for _, h := range hosts {
		v := plan.VirtualHost{ServerAliases: []string{"www." + h.host}}.WithTLS(plan.TLS{EnableACME: h.acme, ForceSSL: h.acme})
		e := environments[h.user]
		if e.Node = h.node; e.VirtualHosts == nil {
			e.VirtualHosts = map[string]plan.VirtualHost{}
		}
		e.VirtualHosts[h.host] = v
		environments[h.user] = e
		n := nodes[h.node]
		if n.Services.Nginx.VirtualHosts == nil {
			n.Services.Nginx.VirtualHosts = map[string]plan.VirtualHost{}
		}
		n.Services.Nginx.VirtualHosts[h.host] = v
		nodes[h.node] = n
	}
	return plan.Document{
		FormatVersion: 1, StateDigest: "d", HostenvHostname: "host.example.net",
		Environments: environments, Nodes: nodes, DNSGate: map[string]plan.GateEntry{},
		Certificates: map[string]int{"__": 1000}, // of environments without a project: see TestQuota
	}
}

// The certificate of a host, as the tests below call it.
const on, off = plan.GateOn, plan.GateOff

var (
	passes = Verdict{Result: Pass, Reason: ReasonAMatch}
	fails  = Verdict{Result: Fail, Reason: ReasonAMismatch, Fix: "change it", Evidence: []Evidence{{Name: "x", Saw: "y"}}}
	// The zone's servers say better by now.
	disagree = Verdict{Result: Fail, Reason: ReasonInconsistent, Retryable: true}
	dunno    = Verdict{Result: Unknown, Reason: ReasonLookupFailed, Retryable: true}
)

// certificate says whether the certificate of a host is on or off, which both of
// its places must agree on.
func certificate(t *testing.T, d plan.Document, h asking) string {
	t.Helper()
	own, served := d.Environments[h.user].VirtualHosts[h.host].TLS(), d.Nodes[h.node].Services.Nginx.VirtualHosts[h.host].TLS()
	if own != served || own.EnableACME != own.ForceSSL {
		t.Fatalf("%s has %+v in its environment and %+v on its node", h.host, own, served)
	}
	if own.EnableACME {
		return on
	}
	return off
}

func gated(t *testing.T, d plan.Document, v Verdict, policy Policy, hosts ...string) plan.Document {
	t.Helper()
	verdicts := map[string]Verdict{}
	for _, h := range hosts {
		verdicts[h] = v
	}
	before := d.Encode()
	out, err := Gate(d, verdicts, policy)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, d.Encode()) {
		t.Fatal("the gate changed the plan that it was given")
	}
	return out.Plan
}

func TestGate(t *testing.T) {
	h := asking{"a.example", "u", "n1", true}
	deployed := func(string) bool { return true }
	pass, fail, unknown := []Verdict{passes}, []Verdict{fails}, []Verdict{dunno}
	for _, c := range []struct {
		name     string
		verdicts []Verdict // of one run each
		policy   Policy
		want     string
	}{
		{"pass", pass, Policy{}, on},
		{"fail", fail, Policy{}, off},
		{"fail, then mended", []Verdict{fails, passes}, Policy{}, on},
		{"passes no more", []Verdict{passes, fails}, Policy{}, off},
		{"the servers disagree after pass", []Verdict{passes, disagree}, Policy{}, off},
		{"unknown after pass", []Verdict{passes, dunno, dunno}, Policy{}, on},
		{"unknown after fail", []Verdict{fails, dunno}, Policy{}, off},
		{"unknown after pass, though asked to disable", []Verdict{passes, dunno}, Policy{OnUnknown: OnUnknownDisable}, on},
		{"unknown after fail, though asked to keep", []Verdict{fails, dunno}, Policy{OnUnknown: OnUnknownKeep}, off},
		{"new and unknown", unknown, Policy{}, off},
		{"new and unknown twice", []Verdict{dunno, dunno}, Policy{}, off},
		{"new and unknown, kept", unknown, Policy{OnUnknown: OnUnknownKeep}, on},
		{"never gated, deployed, unknown", unknown, Policy{Deployed: deployed}, on},
		{"never gated, deployed, unknown twice", []Verdict{dunno, dunno}, Policy{Deployed: deployed}, on},
		{"never gated, deployed, unknown, disabled", unknown, Policy{Deployed: deployed, OnUnknown: OnUnknownDisable}, off},
		{"never gated, deployed, fails", fail, Policy{Deployed: deployed}, off},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := planOf(h)
			for i, v := range c.verdicts {
				c.policy.Now = fmt.Sprint("run ", i)
				d = gated(t, d, v, c.policy, h.host)
			}
			if got := certificate(t, d, h); got != c.want {
				t.Errorf("the certificate is %s, want %s", got, c.want)
			}
			again := gated(t, d, c.verdicts[len(c.verdicts)-1], Policy{Now: "later", OnUnknown: c.policy.OnUnknown}, h.host)
			if !bytes.Equal(d.Encode(), again.Encode()) {
				t.Errorf("the same verdicts again change the plan:\n%s\n%s", d.Encode(), again.Encode())
			}
		})
	}
}

func TestGateLeavesAlone(t *testing.T) {
	hosts := []asking{{"a.example", "u", "n1", true}, {"b.example", "u", "n1", false}, {"c.example", "v", "n2", true}}
	d := planOf(hosts...)
	next := gated(t, d, fails, Policy{}, "a.example", "b.example", "unknown.example")
	for i, want := range []string{off, off, on} {
		if got := certificate(t, next, hosts[i]); got != want {
			t.Errorf("%s is %s, want %s", hosts[i].host, got, want)
		}
	}
	if entries := next.DNSGate; len(entries) != 1 {
		t.Errorf("dnsGate holds %d hosts, want the one that was judged: %v", len(entries), entries)
	}
	if v := next.Nodes["n1"].Services.Nginx.VirtualHosts["a.example"]; len(v.ServerAliases) != 1 {
		t.Errorf("other options were lost: %+v", v)
	}
	if next = gated(t, next, passes, Policy{}, "b.example"); certificate(t, next, hosts[1]) != off {
		t.Error("a virtual host that asks for no certificate got one")
	}
}

func TestFilter(t *testing.T) {
	d := planOf(asking{"a.example", "u", "n1", true}, asking{"b.example", "v", "n1", true}, asking{"c.example", "v2", "n2", true})
	for _, c := range []struct {
		filter Filter
		want   string
	}{
		{Filter{}, "a.example b.example c.example"},
		{Filter{Nodes: []string{"n1"}}, "a.example b.example"},
		{Filter{Nodes: []string{"n1"}, Users: []string{"v"}}, "b.example"},
		{Filter{Users: []string{"u", "v2"}}, "a.example c.example"},
	} {
		list, err := Certificates(d, c.filter)
		var hosts []string
		for _, certificate := range list {
			hosts = append(hosts, certificate.Host)
		}
		if got := strings.Join(hosts, " "); err != nil || got != c.want {
			t.Errorf("%+v selects %s, %v, want %s", c.filter, got, err, c.want)
		}
	}
	if _, err := Certificates(d, Filter{Nodes: []string{"n9"}}); err == nil || err.Error() != `the plan has no node "n9"` {
		t.Errorf("a node that there is not: %v", err)
	}
}

// A plan whose environment is off has its virtual hosts in one place alone.
func TestNotServed(t *testing.T) {
	d := planOf(asking{"a.example", "u", "n1", true})
	delete(d.Nodes, "n1")
	if list, err := Certificates(d, Filter{}); err != nil || len(list) != 0 {
		t.Errorf("Certificates = %v, %v", list, err)
	}
}

func TestFlips(t *testing.T) {
	for _, c := range []struct {
		on, fail int
		refused  bool
		why      string
	}{
		{1, 1, false, "one certificate may always turn off"},
		{2, 2, true, "all of two"},
		{10, 3, false, "30 of 100"},
		{10, 4, true, "40 of 100"},
		{100, 30, false, "at the limit"},
		{100, 31, true, "over it"},
	} {
		var hosts []asking
		verdicts := map[string]Verdict{}
		for i := range c.on {
			h := fmt.Sprintf("h%03d.example", i)
			hosts = append(hosts, asking{h, "u", "n1", true})
			verdicts[h] = passes
		}
		first, err := Gate(planOf(hosts...), verdicts, Policy{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range c.fail {
			verdicts[hosts[i].host] = fails
		}
		_, err = Gate(first.Plan, verdicts, Policy{})
		if errors.Is(err, ErrWithheld) != c.refused || c.refused && !strings.HasPrefix(err.Error(), fmt.Sprintf("%d of %d certificates would be turned off", c.fail, c.on)) {
			t.Errorf("%d of %d turn off: %v: %s", c.fail, c.on, err, c.why)
		}
		if _, err := Gate(first.Plan, verdicts, Policy{AllowFlips: true}); err != nil {
			t.Errorf("with AllowFlips: %v", err)
		}
	}
}

// After a run for one node, the names of another node without a verdict are not new.
func TestGatedOneNodeAfterTheOther(t *testing.T) {
	deployed := func(string) bool { return true }
	first, others := asking{"a.example", "u", "n1", true}, []asking{{"b.example", "v", "n2", true}, {"c.example", "v", "n2", true}}
	policy := Policy{Deployed: deployed}
	d := gated(t, planOf(append(others, first)...), passes, policy, first.host)
	unknown := gated(t, d, dunno, policy, "b.example", "c.example")
	if got := certificate(t, unknown, others[0]); got != on {
		t.Errorf("unknown, and deployed before: it is %s", got)
	}
	if _, err := Gate(d, map[string]Verdict{"b.example": fails, "c.example": fails}, policy); !errors.Is(err, ErrWithheld) || !strings.HasPrefix(err.Error(), "2 of 2 ") {
		t.Errorf("all certificates of the other node turn off: %v", err)
	}
	added := asking{"d.example", "u", "n1", true}
	next := Carry(d, planOf(append(others, first, added)...))
	if got := certificate(t, gated(t, next, dunno, policy, added.host), added); got != off {
		t.Errorf("new in an environment that was gated, and unknown: it is %s", got)
	}
}

func TestUnknownFails(t *testing.T) {
	h := asking{"a.example", "u", "n1", true}
	policy := Policy{OnUnknown: OnUnknownFail}
	if _, err := Gate(planOf(h), map[string]Verdict{h.host: dunno}, policy); !errors.Is(err, ErrWithheld) || !strings.Contains(err.Error(), "have no verdict: "+h.host) {
		t.Errorf("new and unknown: %v", err)
	}
	d := gated(t, planOf(h), passes, policy, h.host)
	if _, err := Gate(d, map[string]Verdict{h.host: dunno}, policy); err != nil {
		t.Errorf("the last verdict does not stay: %v", err)
	}
}

// A certificate does not move to another node with its virtual host.
func TestMoved(t *testing.T) {
	d := gated(t, planOf(asking{"a.example", "u", "n1", true}), passes, Policy{}, "a.example")
	moved := asking{"a.example", "u", "n2", true}
	next := Carry(d, planOf(moved))
	if got := certificate(t, gated(t, next, dunno, Policy{}, "a.example"), moved); got != off {
		t.Errorf("on its new node, and unknown there, it is %s", got)
	}
}

func TestAvailable(t *testing.T) {
	certificates := []Certificate{{Host: host, Names: []string{host}, NodeName: nodeName}}
	down := failed(ErrorTimeout)
	facts := nodeIs(down, down, a(down), aaaa(down))
	if err := Available(facts, certificates); !errors.Is(err, ErrWithheld) || !strings.HasPrefix(err.Error(), "all 4 lookups ") {
		t.Errorf("all is silent: %v", err)
	}
	if err := Available(nodeIs(gone, gone), certificates); !errors.Is(err, ErrWithheld) || !strings.Contains(err.Error(), nodeName+": nxdomain") {
		t.Errorf("the node is gone: %v", err)
	}
	if err := Available(&Facts{}, certificates); !errors.Is(err, ErrWithheld) || !strings.Contains(err.Error(), nodeName+": not looked up") {
		t.Errorf("the node was not looked up: %v", err)
	}
	if err := Available(world(a(down), aaaa(down)), certificates); err != nil {
		t.Errorf("one name is silent: %v", err)
	}
	if err := Available(nodeIs(down, down), nil); err != nil {
		t.Errorf("no certificate to judge: %v", err)
	}
}

func TestCarry(t *testing.T) {
	a, b := asking{"a.example", "u", "n1", true}, asking{"b.example", "u", "n1", true}
	d := gated(t, gated(t, planOf(a, b), fails, Policy{Now: "1"}, a.host), passes, Policy{Now: "1"}, b.host)
	if again := Carry(d, planOf(a, b)); !bytes.Equal(again.Encode(), d.Encode()) {
		t.Errorf("a new plan differs:\n%s\n%s", d.Encode(), again.Encode())
	}
	quiet := a
	quiet.acme = false
	if _, carried := Carry(d, planOf(quiet, b)).DNSGate[a.host]; carried {
		t.Error("Carry keeps an entry whose host asks for no certificate")
	}
	if _, carried := Carry(d, planOf(b)).DNSGate[a.host]; carried {
		t.Error("Carry keeps an entry whose host is gone")
	}
	fresh := planOf(a)
	if next := Carry(planOf(a), fresh); !bytes.Equal(next.Encode(), fresh.Encode()) {
		t.Error("a plan without decisions changes the new one")
	}
	if next := Carry(plan.Document{}, fresh); !bytes.Equal(next.Encode(), fresh.Encode()) {
		t.Error("an empty old plan changes the new one")
	}
	// A new plan into which the gate's decisions were not carried.
	bare := planOf(a)
	bare.DNSGate = d.DNSGate
	if next := gated(t, bare, dunno, Policy{}, a.host); certificate(t, next, a) != off {
		t.Error("the last verdict is lost")
	}
}

// TestHistories plays random histories of DNS, of projects and of the gate. In
// each, the last verdict that was not unknown decides about a certificate.
func TestHistories(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2))
		hosts := map[string]*asking{}
		last := map[string]Result{} // the last verdict that was not unknown, on this node
		d := planOf()
		compute := func() plan.Document {
			var list []asking
			for _, h := range hosts {
				list = append(list, *h)
			}
			next, err := plan.DecodeDocument(Carry(d, planOf(list...)).Encode())
			if err != nil {
				t.Fatal(err)
			}
			return next
		}
		for step := range 40 {
			switch r.IntN(4) {
			case 0: // projects change
				changeProject(r, hosts, last)
				d = compute()
			case 1: // nothing changes
				if again := compute(); !bytes.Equal(again.Encode(), d.Encode()) {
					t.Fatalf("seed %d, step %d: planning anew changes the plan:\n%s\n%s", seed, step, d.Encode(), again.Encode())
				}
			default:
				d = randomGate(t, r, d, hosts, last)
			}
			for name, h := range hosts {
				got := certificate(t, d, *h)
				switch {
				case !h.acme && got == on:
					t.Fatalf("seed %d, step %d: %s asks for no certificate and gets one", seed, step, name)
				case h.acme && last[name] == Pass && got == off:
					t.Fatalf("seed %d, step %d: %s passed last and is off", seed, step, name)
				case h.acme && last[name] == Fail && got == on:
					t.Fatalf("seed %d, step %d: %s failed last and is on", seed, step, name)
				}
			}
		}
	}
}

func randomGate(t *testing.T, r *rand.Rand, d plan.Document, hosts map[string]*asking, last map[string]Result) plan.Document {
	t.Helper()
	storm := r.IntN(4) == 0 // all lookups of the resolver fail
	verdicts := map[string]Verdict{}
	for _, name := range slices.Sorted(maps.Keys(hosts)) {
		if !storm && r.IntN(5) == 0 {
			continue // filtered out
		}
		verdicts[name] = dunno
		if !storm {
			verdicts[name] = pick(r, []Verdict{passes, passes, passes, fails, dunno})
		}
	}
	out, err := Gate(d, verdicts, Policy{AllowFlips: r.IntN(3) == 0, Now: fmt.Sprint(r.Uint32())})
	if err != nil {
		if !errors.Is(err, ErrWithheld) {
			t.Fatal(err)
		}
		return d
	}
	lost := 0
	for _, d := range out.Decisions {
		if d.Was && last[d.Host] == Pass && !d.On {
			lost++
			if d.Verdict.Result != Fail {
				t.Fatalf("%s lost its certificate by %s", d.Host, d.Verdict.Result)
			}
		}
		if d.Verdict.Result != Unknown {
			last[d.Host] = d.Verdict.Result
		}
	}
	if storm && lost > 0 {
		t.Fatalf("a storm turned %d certificates off", lost)
	}
	again, err := Gate(out.Plan, verdicts, Policy{Now: "later"})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.Plan.Encode(), out.Plan.Encode()) {
		t.Fatalf("the same verdicts again change the plan:\n%s\n%s", out.Plan.Encode(), again.Plan.Encode())
	}
	return out.Plan
}

func TestEntryIsJSON(t *testing.T) {
	d := gated(t, planOf(asking{"a.example", "u", "n1", true}), fails, Policy{Now: "2026-03-01T12:00:00Z"}, "a.example")
	got := canonjson.Marshal(d.DNSGate)
	want := `{"a.example":{"asked":{"enableACME":true,"forceSSL":true},"decision":"off","evidence":[{"name":"x","saw":"y"}],` +
		`"fix":"change it","node":"n1","reason":"a-mismatch","since":"2026-03-01T12:00:00Z","verdict":"fail"}}`
	if string(got) != want {
		t.Errorf("dnsGate is\n%s, want\n%s", got, want)
	}
}

// changeProject adds a virtual host, removes one, or has one ask for a
// certificate or no longer.
func changeProject(r *rand.Rand, hosts map[string]*asking, last map[string]Result) {
	name := fmt.Sprintf("h%d.example", r.IntN(12))
	h, ok := hosts[name]
	switch {
	case !ok:
		hosts[name] = &asking{name, "u" + name[1:2], "n1", true}
	case r.IntN(3) == 0:
		delete(hosts, name)
		delete(last, name)
	case r.IntN(2) == 0:
		if h.acme = !h.acme; !h.acme {
			delete(last, name)
		}
	}
}
