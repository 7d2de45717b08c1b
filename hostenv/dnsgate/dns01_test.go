package dnsgate

import (
	"slices"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// asksDNS asks for a certificate for the wildcard below host, by DNS-01.
func asksDNS() Request {
	request := asks()
	request.Host, request.Names, request.DNS = "*."+host, []string{"*." + host}, true
	return request
}

// cloudflares are the servers of a zone at Cloudflare.
func cloudflares(f *NameFacts) {
	f.Zone = "example.com"
	for _, name := range []string{"ada.ns.cloudflare.com", "bob.ns.cloudflare.com"} {
		f.Servers = append(f.Servers, server(name, f.A, f.AAAA))
	}
}

// atAddress sets the address of the first server, and gives it a name of the customer's.
func atAddress(address string) change {
	return func(f *NameFacts) { f.Servers[0].Name, f.Servers[0].Address = "ns1.example.com", address }
}

var dnsSituations = []struct {
	name   string
	facts  *Facts
	result Result
	reason Reason
	why    string
}{
	{"at Cloudflare", world(cloudflares), Pass, ReasonZoneProvable, "the node writes the record there"},
	{"and elsewhere in DNS", world(cloudflares, a(has(else4)), aaaa(has(else6))), Pass, ReasonZoneProvable, "where the name leads does not matter"},
	{"and without an address", world(cloudflares, a(gone), aaaa(gone)), Pass, ReasonZoneProvable, "nor whether it leads anywhere"},
	{"servers with names of the customer's", world(cloudflares, atAddress("108.162.192.7:53")), Pass, ReasonZoneProvable, "the address is Cloudflare's"},
	{"servers of IPv6", world(cloudflares, atAddress("[2606:4700:50::1]:53")), Pass, ReasonZoneProvable, "the address is Cloudflare's"},
	{"another company's servers", world(func(f *NameFacts) { f.Zone = "example.com" }), Unknown, ReasonZoneElsewhere, "Cloudflare may hand its records on to them"},
	{"one server elsewhere", world(cloudflares, atAddress("192.4.1.1:53")), Unknown, ReasonZoneElsewhere, "Let's Encrypt asks any of them"},
	{"a name that looks like it", world(cloudflares, func(f *NameFacts) { f.Servers[0].Name = "ns.cloudflare.com.example.com" }), Unknown, ReasonZoneElsewhere, "it is the customer's"},
	{"no servers known", &Facts{Nodes: world().Nodes, Names: map[string]*NameFacts{host: {Name: host, CAA: named(host).CAA}}}, Unknown, ReasonLookupFailed, "no facts are no permission"},
	{"never looked up", &Facts{Nodes: world().Nodes}, Unknown, ReasonCAALookupFailed, "no facts are no permission"},
	{"bogus", world(cloudflares, a(failed(ErrorServFail, 6)), aaaa(failed(ErrorServFail, 6))), Fail, ReasonDNSSECBogus, "the record would be bogus too"},
	{"issue allows", world(cloudflares, caaAt(host, caa("0 issue letsencrypt.org"))), Pass, ReasonZoneProvable, "there is no issuewild"},
	{"issue forbids", world(cloudflares, caaAt("example.com", caa("0 issue ca.example"))), Fail, ReasonCAAForbids, "there is no issuewild"},
	{"issuewild allows", world(cloudflares, caaAt(host, caa("0 issue ca.example", "0 issuewild letsencrypt.org"))), Pass, ReasonZoneProvable, "issuewild alone counts"},
	{"issuewild forbids", world(cloudflares, caaAt(host, caa("0 issue letsencrypt.org", "0 issuewild ;"))), Fail, ReasonCAAForbids, "issuewild alone counts"},
	{"for this method", world(cloudflares, caaAt(host, caa("0 issue letsencrypt.org; validationmethods=dns-01"))), Pass, ReasonZoneProvable, "the method is DNS-01"},
	{"for another method", world(cloudflares, caaAt(host, caa("0 issue letsencrypt.org; validationmethods=http-01"))), Fail, ReasonCAAForbids, "the method is DNS-01"},
	{"critical", world(cloudflares, caaAt(host, caa("128 tbs x"))), Fail, ReasonCAACritical, "Let's Encrypt does not know it"},
}

func TestJudgeByDNS(t *testing.T) {
	for _, s := range dnsSituations {
		v := Judge(s.facts, asksDNS())
		if v.Result != s.result || v.Reason != s.reason || v.Name != "*."+host {
			t.Errorf("%s: %s %s about %s, want %s %s: %s", s.name, v.Result, v.Reason, v.Name, s.result, s.reason, s.why)
		}
	}
	// Names beside the wildcard are judged by issue, and by DNS-01 too.
	request := asksDNS()
	request.Names = append(request.Names, "other.example.net")
	facts := world(cloudflares)
	facts.Names["other.example.net"] = named("other.example.net", cloudflares, caaAt("other.example.net", caa("0 issue ca.example", "0 issuewild letsencrypt.org")))
	if v := Judge(facts, request); v.Reason != ReasonCAAForbids || v.Name != "other.example.net" {
		t.Errorf("%s about %s", v.Reason, v.Name)
	}
}

// zoned is a plan of a wildcard of a customer's zone on n1, beside a host with a
// certificate by HTTP-01.
func zoned(t *testing.T) plan.Document {
	t.Helper()
	d := planOf(asking{"www.example.com", "u1", "n1", true}, asking{"*.shop.com", "u2", "n1", true})
	tls := plan.TLS{ForceSSL: true, Shared: plan.WildcardCertificate("*.shop.com")}
	v := d.Environments["u2"].VirtualHosts["*.shop.com"].WithTLS(tls)
	d.Environments["u2"].VirtualHosts["*.shop.com"], d.Nodes["n1"].Services.Nginx.VirtualHosts["*.shop.com"] = v, v
	d.Wildcards = []plan.Wildcard{{Node: "n1", Certificate: tls.Shared, Names: []string{"*.shop.com"}, APITokenSecret: "shop/token"}}
	return d
}

// The gate turns the certificate of a customer's wildcard off and on, and counts its
// orders as those of others.
func TestGateOfWildcards(t *testing.T) {
	d := zoned(t)
	const wild = "*.shop.com"
	asked := plan.TLS{ForceSSL: true, Shared: plan.WildcardCertificate(wild)}
	certificates, err := Certificates(d, Filter{})
	if err != nil || len(certificates) != 2 || certificates[0].Host != wild || !slices.Equal(certificates[0].Names, []string{wild}) || !certificates[0].Request().DNS || certificates[1].Request().DNS {
		t.Fatalf("certificates %+v, %v", certificates, err)
	}
	if q := QuestionOf(certificates, LiveAlways); !slices.Contains(q.Names, "shop.com") || q.NodesOf["shop.com"] != nil {
		t.Errorf("the question is %+v", q)
	}
	if shared := Sharing(d, Filter{}); len(shared) != 0 {
		t.Errorf("it takes %v for generated names", shared)
	}
	gate := func(d plan.Document, v Verdict, now string) plan.Document {
		t.Helper()
		gated, err := Gate(d, map[string]Verdict{wild: v, "www.example.com": passes}, Policy{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		return gated.Plan
	}
	served := func(d plan.Document) [2]plan.TLS {
		return [2]plan.TLS{d.Environments["u2"].VirtualHosts[wild].TLS(), d.Nodes["n1"].Services.Nginx.VirtualHosts[wild].TLS()}
	}
	off := gate(d, fails, "2026-11-30T00:00:00Z")
	if got := served(off); got != ([2]plan.TLS{}) {
		t.Errorf("off: %+v", got)
	}
	if entry := off.DNSGate[wild]; entry.Asked.TLS() != asked || entry.Ordered != "" {
		t.Errorf("off: %+v", entry)
	}
	// The next plan has it off as well, and the gate turns it on.
	carried := Carry(off, zoned(t))
	if got := served(carried); got != ([2]plan.TLS{}) {
		t.Errorf("carried: %+v", got)
	}
	on := gate(carried, passes, "2026-11-30T01:00:00Z")
	if got := served(on); got != [2]plan.TLS{asked, asked} {
		t.Errorf("on: %+v", got)
	}
	if entry := on.DNSGate[wild]; entry.Ordered != "2026-11-30T01:00:00Z" || !slices.Equal(entry.OrderedNames, []string{wild}) {
		t.Errorf("on: %+v", entry)
	}
	// A project's quota counts it.
	d.Certificates = map[string]int{projectOf(certificates[0]): 0}
	if entry := gate(d, passes, "2026-11-30T01:00:00Z").DNSGate[wild]; entry.Reason != string(ReasonQuota) {
		t.Errorf("over the quota: %+v", entry)
	}
	// So do Let's Encrypt's limits of the registered domain and of the account.
	l := newLedger(certificates, time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC))
	for _, b := range l.buckets(order{node: "n1", set: setOf(certificates[0].Names)}) {
		if b.limit.Kind == PerDomain.Kind && b.subject != "shop.com" {
			t.Errorf("it counts for %s", b.subject)
		}
	}
	if n := len(l.buckets(order{node: "n1", set: setOf(certificates[0].Names)})); n != 3 {
		t.Errorf("it counts in %d limits, want 3", n)
	}
}
