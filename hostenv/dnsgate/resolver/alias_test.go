package resolver

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
)

// If a CNAME leads to another zone, Collect also asks all servers of that zone.
func TestAliasesInOtherZones(t *testing.T) {
	f := shop(t, "www CNAME in", "in CNAME n1.host.test.", "too CNAME n1.host.test.").
		zone("host.test", "127.0.2.8", "127.0.2.9")
	f.records("127.0.2.8", "host.test", "n1 A 192.0.2.1")
	f.records("127.0.2.9", "host.test", "n1 A 192.0.2.2")
	facts := f.collect("www.shop.test", "too.shop.test")
	for _, name := range []string{"www.shop.test", "too.shop.test"} {
		aliases := facts.Names[name].Aliases
		if len(aliases) != 1 || aliases[0].Name != "n1.host.test" || aliases[0].Zone != "host.test" || len(aliases[0].Servers) != 2 {
			t.Fatalf("%s: %s", name, show(aliases))
		}
		if a, b := brief(aliases[0].Servers[0].A), brief(aliases[0].Servers[1].A); a != "answer 192.0.2.1" || b != "answer 192.0.2.2" {
			t.Errorf("the servers say %s and %s", a, b)
		}
	}
	for _, address := range []string{"127.0.2.8", "127.0.2.9"} {
		if n := f.questions(address, "n1.host.test A"); n != 1 {
			t.Errorf("%s was asked %d times", address, n)
		}
	}
}

// Collect finds a loop over two zones, although the resolver only answers SERVFAIL.
func TestLoopOverTwoZones(t *testing.T) {
	f := shop(t, "www CNAME www.host.test.").zone("host.test", "127.0.2.9").everywhere("host.test", "www CNAME www.shop.test.")
	n := f.collect("www.shop.test").Names["www.shop.test"]
	if brief(n.A) != "error servfail" || len(n.Aliases) != 1 || !slices.Equal(n.Aliases[0].Servers[0].CNAME.Targets, []string{"www.shop.test"}) {
		t.Errorf("got %s", show(n))
	}
}

// A server that is silent only over TCP has other facts than one that never answers.
func TestTruncatedAndThenSilent(t *testing.T) {
	t.Parallel()
	f := shop(t, "www A 192.0.2.1")
	f.fault(ns1, "www.shop.test A", tcpSilent)
	f.fault(ns2, "www.shop.test A", silent)
	got := map[string]dnsgate.Lookup{}
	for _, s := range f.collect("www.shop.test").Names["www.shop.test"].Servers {
		got[s.Address] = s.A
	}
	want := map[string]dnsgate.Lookup{
		ns1: {Outcome: dnsgate.OutcomeError, Error: dnsgate.ErrorTimeout, Truncated: true},
		ns2: {Outcome: dnsgate.OutcomeError, Error: dnsgate.ErrorTimeout},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("A (-want +got):\n%s", diff)
	}
}

func TestCAAOfEveryServer(t *testing.T) {
	f := shop(t, "www A 192.0.2.1", "deep.er A 192.0.2.1")
	f.records(ns2, "shop.test", `@ CAA 0 issue ";"`, `www CAA 0 issue "letsencrypt.org"`)
	facts := f.collect("www.shop.test", "deep.er.shop.test")
	var got []string
	for _, name := range []string{"www.shop.test", "deep.er.shop.test"} {
		for _, s := range facts.Names[name].Servers {
			for _, caa := range s.CAA {
				got = append(got, fmt.Sprintf("%s: %s %s", s.Address, caa.Name, brief(caa.Lookup)))
			}
		}
	}
	want := []string{
		ns1 + ": www.shop.test nodata", ns1 + ": shop.test nodata",
		ns2 + `: www.shop.test answer 0 issue "letsencrypt.org"`,
		ns2 + `: shop.test answer 0 issue ";"`, // a resolver that asks the other server gets no CAA record of www
		ns1 + ": deep.er.shop.test nodata", ns1 + ": er.shop.test nodata", ns1 + ": shop.test nodata",
		ns2 + ": deep.er.shop.test nodata", ns2 + ": er.shop.test nodata", ns2 + `: shop.test answer 0 issue ";"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("CAA (-want +got):\n%s", diff)
	}
	if n := f.questions(ns1, "shop.test CAA"); n != 1 {
		t.Errorf("the top of the zone was asked for %d times", n)
	}
}

// The parent names ns1 and a server that the zone does not name; the zone names
// ns1 and ns2.
func TestDelegationThatDiffers(t *testing.T) {
	const third = "127.0.2.3"
	f := shop(t, "www A 192.0.2.1")
	for _, address := range []string{ns1, third} {
		f.records("127.0.1.3", "test", fmt.Sprintf("shop NS %s.", nameServerName(address)))
	}
	f.records("127.0.1.3", "test", nameServerName(third)+". A "+third)
	f.records(third, "shop.test", "www A 192.0.2.9")
	got := map[string]string{}
	for _, s := range f.collect("www.shop.test").Names["www.shop.test"].Servers {
		got[s.Address] = fmt.Sprint(brief(s.A), " undelegated ", s.Undelegated)
	}
	want := map[string]string{
		ns1:   "answer 192.0.2.1 undelegated false",
		ns2:   "answer 192.0.2.1 undelegated true",
		third: "answer 192.0.2.9 undelegated false",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("servers (-want +got):\n%s", diff)
	}
}

// The parent's glue has another address for ns1 than the zone itself: both are asked.
func TestGlueThatDiffers(t *testing.T) {
	const third = "127.0.2.3"
	f := newFleet(t).zone("shop.test", ns1)
	f.records(ns1, "shop.test", "www A 192.0.2.1", "ns A "+ns1, "@ NS ns")
	f.records(third, "shop.test", "www A 192.0.2.9", "ns A "+ns1, "@ NS ns")
	f.records("127.0.1.3", "test", "shop NS ns.shop", "ns.shop A "+third)
	got := map[string]string{}
	for _, s := range f.collect("www.shop.test").Names["www.shop.test"].Servers {
		if s.Name == "ns.shop.test" {
			got[s.Address] = fmt.Sprint(brief(s.A), " unglued ", s.Unglued)
		}
	}
	want := map[string]string{third: "answer 192.0.2.9 unglued false", ns1: "answer 192.0.2.1 unglued true"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("servers (-want +got):\n%s", diff)
	}
}

// A zone need not have NS records at its top: the parent names its servers.
func TestZoneWithoutNS(t *testing.T) {
	f := newFleet(t)
	f.records(ns1, "shop.test", "www A 192.0.2.1")
	f.records("127.0.1.3", "test", fmt.Sprintf("shop NS %s.", nameServerName(ns1)), nameServerName(ns1)+". A "+ns1)
	n := f.collect("www.shop.test").Names["www.shop.test"]
	if n.Zone != "shop.test" || len(n.Servers) != 1 || brief(n.Servers[0].A) != "answer 192.0.2.1" {
		t.Errorf("%s", show(n))
	}
}
