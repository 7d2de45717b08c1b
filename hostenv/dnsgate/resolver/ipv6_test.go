package resolver

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

const six1, six2 = "2001:db8::1", "2001:db8::2"

// answersOf returns the A records of each server's answer, by address.
func answersOf(n *dnsgate.NameFacts) map[string]string {
	all := map[string]string{}
	for _, s := range n.Servers {
		all[s.Address] = brief(s.A)
	}
	return all
}

func wantSaid(t *testing.T, n *dnsgate.NameFacts, want map[string]string) {
	t.Helper()
	got := answersOf(n)
	for address, says := range want {
		if got[address] != says {
			t.Errorf("%s says %q of %s, want %q", address, got[address], n.Name, says)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d servers were asked for %s, want %d:\n%s", len(got), n.Name, len(want), show(n.Servers))
	}
}

// A zone and a resolver that are only reachable over IPv6.
func TestOverIPv6Alone(t *testing.T) {
	t.Parallel()
	f := newFleet(t).zone("shop.test", six1, six2).everywhere("shop.test",
		"www A 192.0.2.1", "www AAAA 2001:db8::99", "big A 192.0.2.2", "lost A 192.0.2.3", "old A 192.0.2.4")
	const resolver = "2001:db8::53"
	f.server(resolver).recursive = true
	for _, address := range []string{six1, six2} {
		f.fault(address, "big.shop.test", truncate)
		f.fault(address, "lost.shop.test", dropFirst)
		f.fault(address, "old.shop.test", formErrOPT)
	}
	f.fault(resolver, "big.shop.test", truncate)
	f.fault(resolver, "lost.shop.test", dropFirst)
	config := f.config()
	config.Resolver = f.servers[resolver].at
	facts, err := New(config).Collect(t.Context(), dnsgate.Question{
		Names: []string{"www.shop.test", "big.shop.test", "lost.shop.test", "old.shop.test", "gone.shop.test"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"www.shop.test": "answer 192.0.2.1", "big.shop.test": "answer 192.0.2.2", "lost.shop.test": "answer 192.0.2.3",
		"old.shop.test": "answer 192.0.2.4", "gone.shop.test": "nxdomain",
	} {
		n := facts.Names[name]
		if got := brief(n.A); got != want || n.Zone != "shop.test" {
			t.Errorf("%s in %s: %s, want %s", name, n.Zone, got, want)
		}
		wantSaid(t, n, map[string]string{six1: want, six2: want})
	}
	if got := brief(facts.Names["www.shop.test"].AAAA); got != "answer 2001:db8::99" {
		t.Errorf("AAAA: %s", got)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, address := range []string{six1, six2, resolver} {
		if f.servers[address].overTCP == 0 {
			t.Errorf("%s was not asked over TCP for what it truncates", address)
		}
	}
	if len(f.servers[resolverAddress].asked) > 0 {
		t.Error("the resolver at an IPv4 address was asked too")
	}
}

// Collect asks the IPv4 and the IPv6 address of a server separately: they may
// disagree, and one of them may be silent.
func TestServersOfBothFamilies(t *testing.T) {
	t.Parallel()
	f := newFleet(t).zone("shop.test", ns1, six1, six2)
	for address, a := range map[string]string{ns1: "192.0.2.1", six1: "192.0.2.2", six2: "192.0.2.3"} {
		f.records(address, "shop.test", "www A "+a)
	}
	f.fault(six2, "", silent)
	wantSaid(t, f.collect("www.shop.test").Names["www.shop.test"],
		map[string]string{ns1: "answer 192.0.2.1", six1: "answer 192.0.2.2", six2: "error timeout"})
}

// One name server with addresses of both families counts as two servers.
func TestServerWithBothAddresses(t *testing.T) {
	f := newFleet(t).zone("shop.test", ns1).everywhere("shop.test", "www A 192.0.2.1")
	f.records("127.0.1.3", "test", nameServerName(ns1)+". AAAA "+six1)
	f.records(six1, "shop.test", "@ NS "+nameServerName(ns1)+".", "www A 192.0.2.2")
	n := f.collect("www.shop.test").Names["www.shop.test"]
	wantSaid(t, n, map[string]string{ns1: "answer 192.0.2.1", six1: "answer 192.0.2.2"})
	for _, s := range n.Servers {
		if s.Name != nameServerName(ns1) {
			t.Errorf("%s is called %s", s.Address, s.Name)
		}
	}
}

func TestWaitOverIPv6(t *testing.T) {
	f := newFleet(t).zone("shop.test", six1, six2).everywhere("shop.test", "@ A 192.0.2.1")
	clock := &fakeClock{leap: func(round int) {
		if at := map[int]string{1: six1, 3: six2}[round]; at != "" {
			f.records(at, "shop.test", "www CNAME n1.host.test.")
		}
	}}
	arrivals, err := New(f.config()).Wait(t.Context(), []Wanted{{Name: "www.shop.test", Zone: "shop.test", CNAME: "n1.host.test"}}, clock.config())
	if err != nil || Missing(arrivals) != nil {
		t.Fatal(err, Missing(arrivals))
	}
	if len(clock.pauses) != 3 || len(arrivals[0].Servers) != 2 {
		t.Errorf("it paused %v:\n%s", clock.pauses, show(arrivals))
	}
}

// The live checks over real IPv6: an address that answers, one that refuses.
func TestLiveOverIPv6(t *testing.T) {
	testenv.Need(t, "ipv6")
	listener, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	closed, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	at := map[string]string{"[2001:db8::1]:80": listener.Addr().String(), "[2001:db8::2]:80": closed.Addr().String()}
	live := &Network{Timeout: time.Minute, Private: loopback, DialAddr: func(addr string) string { return at[addr] }}
	for address, want := range map[string]dnsgate.Dial{six1: dnsgate.DialOpen, six2: dnsgate.DialRefused} {
		if got := live.Dial(t.Context(), netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}
