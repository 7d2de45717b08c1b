package dnsgate

import (
	"slices"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// generated is a plan of hosts below hostenvHostname, on two nodes, and one with a name
// elsewhere.
func generated(t *testing.T, wildcard bool) plan.Document {
	t.Helper()
	d := planOf(asking{"www.example.com", "u1", "n1", true})
	for host, at := range map[string][2]string{"u1.host.example.net": {"u1", "n1"}, "u2.host.example.net": {"u2", "n1"}, "u3.host.example.net": {"u3", "n2"}} {
		tls := plan.TLS{EnableACME: true, ForceSSL: true}
		if wildcard {
			tls = plan.TLS{ForceSSL: true, Shared: "_wildcard.host.example.net"}
		}
		one := planOf(asking{host, at[0], at[1], true})
		v := plan.VirtualHost{}.WithTLS(tls)
		e := d.Environments[at[0]]
		if e.VirtualHosts == nil {
			e = one.Environments[at[0]]
		}
		e.VirtualHosts[host] = v
		d.Environments[at[0]] = e
		n, known := d.Nodes[at[1]]
		if !known {
			n = one.Nodes[at[1]]
		}
		n.Services.Nginx.VirtualHosts[host] = v
		d.Nodes[at[1]] = n
	}
	if wildcard {
		for _, node := range []string{"n1", "n2"} {
			domain, certificate := plan.GeneratedWildcard(d.HostenvHostname)
			d.Wildcards = append(d.Wildcards, plan.Wildcard{Node: node, Certificate: certificate, Names: []string{domain}})
		}
	}
	return d
}

// The gate does not judge hosts with the wildcard certificate, keeps no entry of them,
// changes none of them, and counts no order for them.
func TestWildcardIsNotJudged(t *testing.T) {
	before, d := generated(t, false), generated(t, true)
	certificates, err := Certificates(d, Filter{})
	if err != nil {
		t.Fatal(err)
	}
	if len(certificates) != 1 || certificates[0].Host != "www.example.com" {
		t.Errorf("the gate judges %v", certificates)
	}
	// The old plan's gate had turned one off.
	gated, err := Gate(before, map[string]Verdict{"u2.host.example.net": fails, "u1.host.example.net": passes, "u3.host.example.net": passes, "www.example.com": passes}, Policy{Now: "2026-11-30T00:00:00Z"})
	if err != nil {
		t.Fatal(err)
	}
	carried := Carry(gated.Plan, d)
	after, err := Gate(carried, map[string]Verdict{"www.example.com": passes, "u1.host.example.net": fails}, Policy{Now: "2026-11-30T01:00:00Z"})
	if err != nil {
		t.Fatal(err)
	}
	if len(after.Plan.DNSGate) != 1 || len(after.Decisions) != 1 {
		t.Errorf("entries %v, decisions %v", after.Plan.DNSGate, after.Decisions)
	}
	for _, c := range Sharing(after.Plan, Filter{}) {
		want := plan.TLS{ForceSSL: true, Shared: "_wildcard.host.example.net"}
		if served := after.Plan.Nodes[c.Node].Services.Nginx.VirtualHosts[c.Host].TLS(); c.Asked != want || served != want {
			t.Errorf("%s: %+v, and %+v on its node, want %+v", c.Host, c.Asked, served, want)
		}
	}
	// Back without the option: each is judged anew.
	again := Carry(after.Plan, generated(t, false))
	if len(wanted(again)) != 4 || len(again.DNSGate) != 1 {
		t.Errorf("certificates %v, entries %v", wanted(again), again.DNSGate)
	}
}

func TestSharing(t *testing.T) {
	hosts := func(filter Filter) (all []string) {
		for _, c := range Sharing(generated(t, true), filter) {
			all = append(all, c.Host+" "+c.NodeName)
		}
		return all
	}
	if got, want := hosts(Filter{}), []string{"u1.host.example.net n1.host.example.net", "u2.host.example.net n1.host.example.net", "u3.host.example.net n2.host.example.net"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := hosts(Filter{Nodes: []string{"n2"}}); !slices.Equal(got, []string{"u3.host.example.net n2.host.example.net"}) {
		t.Errorf("with a filter: %v", got)
	}
}

func TestSaving(t *testing.T) {
	short := func(kind string, hosts ...string) []Shortage {
		return []Shortage{{Limit: Limit{Kind: kind}, HoldBack: hosts}}
	}
	for _, test := range []struct {
		reason   string
		plan     plan.Document
		limits   []Shortage
		want     Saving
		text     string
		relieves bool
	}{
		{"used", generated(t, true), short(PerDomain.Kind, "u4.host.example.net"), Saving{"*.host.example.net", true, 3, 2}, "*.host.example.net: 2 in place of 3 certificates (one for each node)", false},
		{"not used, and no limit", generated(t, false), nil, Saving{"*.host.example.net", false, 3, 2}, "*.host.example.net: 2 in place of 3 certificates (one for each node)", false},
		{"a limit for a generated name", generated(t, false), short(PerDomain.Kind, "www.example.com", "u1.host.example.net"), Saving{"*.host.example.net", false, 3, 2}, "*.host.example.net: 2 in place of 3 certificates (one for each node)", true},
		{"a limit for other names", generated(t, false), short(PerDomain.Kind, "www.example.com"), Saving{"*.host.example.net", false, 3, 2}, "*.host.example.net: 2 in place of 3 certificates (one for each node)", false},
		{"orders that may fail", generated(t, false), short(PerFailure.Kind, "u1.host.example.net"), Saving{"*.host.example.net", false, 3, 2}, "*.host.example.net: 2 in place of 3 certificates (one for each node)", false},
	} {
		got := SavingOf(test.plan)
		if got != test.want || got.String() != test.text || got.Relieves(test.limits) != test.relieves {
			t.Errorf("%s: %+v, %s, %v", test.reason, got, got, got.Relieves(test.limits))
		}
	}
}
