package resolver

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
)

// A zone's owner names its servers. One at an address that is not public gets no
// question, over UDP or TCP, by whatever record the zone leads to it.
func TestPrivateNameServersAreNotAsked(t *testing.T) {
	f := shop(t, "www A 11.0.2.1")
	config := f.config()
	config.Private = nil
	facts, err := New(config).Collect(t.Context(), dnsgate.Question{Names: []string{"www.shop.test"}})
	if err != nil {
		t.Fatal(err)
	}
	www := facts.Names["www.shop.test"]
	if www.A.Outcome != dnsgate.OutcomeAnswer {
		t.Errorf("the provider's own resolver, which is on loopback, is not asked: %s", show(www.A))
	}
	if len(www.Servers) == 0 {
		t.Fatal("no server of the zone was found")
	}
	for _, s := range www.Servers {
		if s.A.Error != dnsgate.ErrorPrivate || s.AAAA.Error != dnsgate.ErrorPrivate {
			t.Errorf("the server %s at %s: %s, %s", s.Name, s.Address, show(s.A), show(s.AAAA))
		}
		for _, caa := range s.CAA {
			if caa.Lookup.Error != dnsgate.ErrorPrivate {
				t.Errorf("the server %s: CAA of %s: %s", s.Name, caa.Name, show(caa.Lookup))
			}
		}
		for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeNS, dns.TypeCAA} {
			for _, name := range []string{"www.shop.test", "shop.test"} {
				if n := f.questions(s.Address, name+" "+dns.TypeToString[kind]); n > 0 {
					t.Errorf("the server at %s got %d questions for %s %s", s.Address, n, name, dns.TypeToString[kind])
				}
			}
		}
	}
	arrivals, err := New(config).Wait(t.Context(), []Wanted{{Name: "www.shop.test"}}, (&fakeClock{}).config())
	if err != nil || arrivals[0].Ready {
		t.Errorf("%v, %s", err, show(arrivals))
	}
}

// A customer's web server redirects the probe by address and by name, at once and
// in the end. No address that is not public is connected to.
func TestProbeDialsOnlyPublicAddresses(t *testing.T) {
	var canary atomic.Int32
	listener, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skipf("needs a second address of loopback: %v", err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			canary.Add(1)
			conn.Close()
		}
	}()
	start := netip.MustParseAddr("11.0.0.1")
	for _, inner := range []string{"127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255",
		"::1", "::", "::ffff:127.0.0.1", "::7f00:1", "fe80::1", "fec0::1", "fd00:ec2::254", "ff02::1", "64:ff9b::7f00:1", "2002:7f00:1::"} {
		private := netip.MustParseAddr(inner)
		literal := inner
		if private.Is6() {
			literal = "[" + inner + "]"
		}
		for reason, handler := range map[string]http.HandlerFunc{
			"by name":              redirect(302, "http://inner.com$path"),
			"by name, over https":  redirect(301, "https://inner.com/"),
			"by address":           redirect(307, "http://"+literal+"/"),
			"after a second host":  redirect(302, "http://second.com/"),
			"by a name in a chain": redirect(302, "http://inner.com:80/x?y"),
		} {
			h := &hosts{t: t, at: map[string]string{}}
			h.serve("11.0.0.1:80", handler)
			h.serve("11.0.0.2:80", redirect(302, "http://inner.com/"))
			for _, port := range []string{"80", "443"} {
				h.at[net.JoinHostPort(inner, port)] = listener.Addr().String()
			}
			// The mapping of the laboratory leads to loopback; it does not allow the
			// addresses that it maps.
			network := h.network()
			network.Private = networks("127.0.0.1/32")
			lookup := func(host string) []netip.Addr {
				switch host {
				case "inner.com":
					return []netip.Addr{private}
				case "second.com":
					return []netip.Addr{netip.MustParseAddr("11.0.0.2")}
				}
				return nil
			}
			got := network.Probe(t.Context(), Target{Host: "old.com", Address: start, Nodes: []netip.Addr{netip.MustParseAddr("11.9.9.9")}, Lookup: lookup})
			if got.Reached || got.Error == "" {
				t.Errorf("%s %s: %s", inner, reason, show(got))
			}
			if how := network.Dial(t.Context(), private); how == dnsgate.DialOpen {
				t.Errorf("%s: dialled", inner)
			}
		}
	}
	if n := canary.Load(); n > 0 {
		t.Errorf("%d connections to addresses that are not public", n)
	}
	// An address that may be dialled is, beside one that may not, as Let's Encrypt
	// drops the latter.
	h := &hosts{t: t, at: map[string]string{}}
	h.serve("11.0.0.1:80", redirect(302, "http://both.com$path"))
	h.serve("11.0.0.2:80", http.NotFound)
	network := h.network()
	network.Private = networks("127.0.0.1/32")
	got := network.Probe(t.Context(), Target{Host: "old.com", Address: start, Nodes: []netip.Addr{netip.MustParseAddr("11.0.0.2")},
		Lookup: func(string) []netip.Addr {
			return []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("11.0.0.2")}
		}})
	if !got.Reached {
		t.Errorf("%s", show(got))
	}
	if !slices.ContainsFunc(got.Hops, func(hop dnsgate.Hop) bool { return strings.Contains(hop.URL, "both.com") }) {
		t.Errorf("%s", show(got.Hops))
	}
}
