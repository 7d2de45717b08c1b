package resolver

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
)

// standIn is a Live that records its calls.
type standIn struct {
	mu     sync.Mutex
	calls  []string
	served string // the host for which a node serves its token
}

func (s *standIn) Dial(_ context.Context, addr netip.Addr) dnsgate.Dial {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, "dial "+addr.String())
	return dnsgate.DialRefused
}

func (s *standIn) Probe(_ context.Context, target Target) *dnsgate.ProbeFacts {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, fmt.Sprint("probe ", target.Host, target.Nodes, " ", target.Address))
	facts := &dnsgate.ProbeFacts{Status: 404}
	if target.Host == s.served {
		facts = &dnsgate.ProbeFacts{Status: 200, Proof: target.Names[0]}
	}
	return facts
}

func TestLiveChecksOnlyWhatIsElsewhere(t *testing.T) {
	f := shop(t, "here A 11.0.2.1", "here AAAA 2e00:db8::1", "six A 11.0.2.1", "six AAAA 2e00:db8::6",
		"also AAAA 2e00:db8::6", "four A 11.0.2.4", "none TXT x").
		zone("host.test", "127.0.2.9").everywhere("host.test", "n1 A 11.0.2.1", "n1 AAAA 2e00:db8::1")
	question := dnsgate.Question{Nodes: []string{"n1.host.test"}, NodesOf: map[string][]string{}}
	for _, name := range []string{"here", "six", "also", "four", "none", "unowned"} {
		question.Names = append(question.Names, name+".shop.test")
		question.NodesOf[name+".shop.test"] = []string{"n1.host.test"}
	}
	delete(question.NodesOf, "unowned.shop.test")
	nodes := []string{
		"probe also.shop.test[11.0.2.1 2e00:db8::1] 11.0.2.1",
		"probe four.shop.test[11.0.2.1 2e00:db8::1] 11.0.2.1",
		"probe six.shop.test[11.0.2.1 2e00:db8::1] 11.0.2.1",
	}
	for _, test := range []struct {
		reason string
		live   dnsgate.LiveChecks
		served string
		want   []string
		checks []string // the names with live checks
	}{
		{"never", dnsgate.LiveNever, "", nil, nil},
		{"always", dnsgate.LiveAlways, "", append([]string{"dial 2e00:db8::6", "probe four.shop.test[11.0.2.1 2e00:db8::1] 11.0.2.4"}, nodes...), []string{"also", "four", "six"}},
		{"where the node serves its token: nowhere", dnsgate.LiveServed, "", nodes, nil},
		{"where the node serves its token", dnsgate.LiveServed, "four.shop.test", append([]string{"probe four.shop.test[11.0.2.1 2e00:db8::1] 11.0.2.4"}, nodes...), []string{"four"}},
	} {
		t.Run(test.reason, func(t *testing.T) {
			checks := &standIn{served: test.served}
			config := f.config()
			config.Live = checks
			question.Live = test.live
			facts, err := New(config).Collect(t.Context(), question)
			if err != nil {
				t.Fatal(err)
			}
			if got := facts.Names["six.shop.test"].Live; test.live == dnsgate.LiveAlways &&
				(got == nil || got.Dials["2e00:db8::6"] != dnsgate.DialRefused || got.Probes["2e00:db8::6"] != nil || got.Probes["11.0.2.1"] != nil) {
				t.Errorf("six: %s", show(got))
			}
			want := slices.Sorted(slices.Values(test.want))
			slices.Sort(checks.calls)
			if diff := cmp.Diff(want, checks.calls); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			var checked []string
			for name, n := range facts.Names {
				if n.Live != nil {
					checked = append(checked, strings.TrimSuffix(name, ".shop.test"))
				}
			}
			slices.Sort(checked)
			if diff := cmp.Diff(test.checks, checked); diff != "" {
				t.Errorf("names with live checks (-want +got):\n%s", diff)
			}
		})
	}
}

// A node's token is a proof, whatever is in between.
func TestToken(t *testing.T) {
	node, old := netip.MustParseAddr("11.0.0.1"), netip.MustParseAddr("11.1.0.1")
	says := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	for _, test := range []struct {
		reason string
		answer http.HandlerFunc
		proof  string
	}{
		{"the token", says(200, "n1.host.com\n"), "n1.host.com"},
		{"the token of a virtual host without a certificate", says(200, "n1.host.com old.com"), "n1.host.com"},
		{"the same of another virtual host", says(200, "n1.host.com other.com"), ""},
		{"another node's", says(200, "n2.host.com"), "n2.host.com"},
		{"with another status", says(404, "n1.host.com"), ""},
		{"no name", says(200, "<html>hello</html>"), ""},
		{"a name in another spelling", says(200, "N1.host.com"), ""},
		{"a long page", says(200, "n1.host.com"+strings.Repeat(" ", maxProof)), ""},
		{"behind a redirect to a proxy", redirect(301, "http://proxy.com$path"), "n1.host.com"},
	} {
		t.Run(test.reason, func(t *testing.T) {
			h := &hosts{t: t, at: map[string]string{}}
			h.serve("11.1.0.1:80", test.answer)
			h.serve("11.2.0.1:80", says(200, "n1.host.com"))
			got := h.network().Probe(t.Context(), Target{Host: "old.com", Address: old, Own: []netip.Addr{old}, Nodes: []netip.Addr{node}, Names: []string{"n1.host.com"},
				Lookup: func(string) []netip.Addr { return parseAll([]string{"11.2.0.1"}) }})
			if got.Proof != test.proof || got.Reached {
				t.Errorf("got %s", show(got))
			}
		})
	}
}

// hosts serves HTTP at addresses that are mapped to loopback.
type hosts struct {
	t  *testing.T
	at map[string]string
}

func (h *hosts) serve(address string, handler http.HandlerFunc) {
	server := httptest.NewUnstartedServer(handler)
	if strings.HasSuffix(address, ":443") {
		server.StartTLS()
	} else {
		server.Start()
	}
	h.t.Cleanup(server.Close)
	h.at[address] = server.Listener.Addr().String()
}

func (h *hosts) network() *Network {
	return &Network{Timeout: time.Minute, Private: append(loopback, documentation...), DialAddr: func(addr string) string {
		if to := h.at[addr]; to != "" {
			return to
		}
		return "127.0.0.1:1" // refused
	}}
}

func redirect(status int, to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", strings.ReplaceAll(to, "$path", r.URL.Path))
		w.WriteHeader(status)
	}
}

func TestProbe(t *testing.T) {
	addrs := func(texts ...string) []netip.Addr { return parseAll(texts) }
	node, old, node6 := "11.0.0.1", "11.1.0.1", "2e00:db8::1"
	addresses := map[string][]netip.Addr{
		"n1.com": addrs(node), "both.com": addrs(node, node6), "six.com": addrs(node, "2e00:db8::6"), "two.com": addrs(node, old), "reserved.com": addrs("10.0.0.1", node, "2001:db8::1"),
		"only.com": addrs("192.168.0.1", "fd00::1"), "dead.com": addrs("11.1.0.9", "2e00:db8::6"), "n1.internal": addrs(node), "far.com": addrs(node, "2e00:db8::7"),
	}
	long := strings.Repeat("a", maxPath)
	for _, test := range []struct {
		reason  string
		old     http.HandlerFunc
		reached bool
		hops    int
		err     string
	}{
		{"redirected to the node", redirect(301, "http://n1.com$path"), true, 1, ""},
		{"over https, with any certificate", redirect(308, "https://n1.com$path"), true, 1, ""},
		{"307 with the port", redirect(307, "http://n1.com:80$path"), true, 1, ""},
		{"a port is a number", redirect(307, "http://n1.com:080$path"), true, 1, ""},
		{"a host in upper case", redirect(307, "http://N1.com$path"), true, 1, ""},
		{"slashes are merged, and a query does not count", redirect(301, "http://n1.com//.well-known/./acme-challenge/hostenv-provider?a=b"), true, 1, ""},
		{"to the front page", redirect(301, "http://n1.com/"), false, 1, "not the challenge"},
		{"to the front page of a page by https", redirect(301, "https://n1.com"), false, 1, "not the challenge"},
		{"to another path", redirect(301, "http://n1.com/blog$path"), false, 1, "not the challenge"},
		{"to the path as a folder", redirect(301, "http://n1.com$path/"), false, 1, "not the challenge"},
		{"303 is not followed", redirect(303, "http://n1.com$path"), false, 0, ""},
		{"served elsewhere", http.NotFound, false, 0, ""},
		{"another port", redirect(302, "http://n1.com:8080$path"), false, 1, "port 8080"},
		{"a reserved address", redirect(302, "http://192.0.2.1$path"), false, 1, "reserved"},
		{"the node's address", redirect(302, "http://11.0.0.10$path"), true, 1, ""},
		{"another scheme", redirect(302, "ftp://n1.com$path"), false, 1, "ftp"},
		{"no public top-level domain", redirect(302, "http://n1.internal$path"), false, 1, "top-level"},
		{"a final dot", redirect(302, "http://n1.com.$path"), false, 1, "top-level"},
		{"a long path", redirect(302, "http://n1.com$path?"+long), true, 1, ""},
		{"a path that is too long", redirect(302, "http://n1.com/"+long), false, 1, "2001 bytes"},
		{"no place", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(301) }, false, 0, "without a place"},
		{"in a circle", redirect(302, "http://old.com$path"), false, 1, "circle"},
		{"nine redirects and the node", hops(8, "http://n1.com$path"), true, 9, ""},
		{"ten redirects", hops(9, "http://n1.com$path"), false, 10, "more than 10"},
		{"nine redirects, and one dead IPv6 address", hops(8, "http://six.com$path"), false, 9, "more than 10"},
		{"eight redirects, and one dead IPv6 address", hops(7, "http://six.com$path"), true, 8, ""},
		{"without end", hops(100, ""), false, 10, "more than 10"},
		{"to nowhere", redirect(302, "http://gone.com$path"), false, 1, "no address"},
		{"to a host that refuses", redirect(302, "http://dead.com$path"), false, 1, "refused"},
		{"no answer", nil, false, 0, "refused"},
		{"to the node by both families", redirect(302, "http://both.com$path"), true, 1, ""},
		{"to the node, whose IPv6 is dead", redirect(302, "http://six.com$path"), true, 1, ""},
		{"to the node and another", redirect(302, "http://two.com$path"), false, 2, "circle"},
		{"to the node and reserved addresses", redirect(302, "http://reserved.com$path"), true, 1, ""},
		{"to reserved addresses alone", redirect(302, "http://only.com$path"), false, 1, "no address"},
		{"headers that are no text", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Server", "\xff")
			w.Header().Set("Content-Type", "a/\xfe")
			w.WriteHeader(404)
		}, false, 0, ""},
		{"to https on itself", redirect(302, "https://old.com$path"), false, 1, "refused"},
	} {
		t.Run(test.reason, func(t *testing.T) {
			h := &hosts{t: t, at: map[string]string{}}
			for _, at := range []string{"11.0.0.1:80", "11.0.0.1:443", "11.0.0.10:80", "10.0.0.1:80", "[2e00:db8::1]:80", "192.0.2.1:80"} {
				h.serve(at, http.NotFound)
			}
			if test.old != nil {
				h.serve("11.1.0.1:80", test.old)
			}
			got := h.network().Probe(t.Context(), Target{
				Host: "old.com", Address: netip.MustParseAddr(old), Own: addrs(old), Nodes: addrs(node, "11.0.0.10", node6),
				Lookup: func(host string) []netip.Addr { return addresses[host] },
			})
			if got.Reached != test.reached || len(got.Hops) != test.hops || !strings.Contains(got.Error, test.err) || test.err == "" && got.Error != "" {
				t.Errorf("got %s", show(got))
			}
			if text := got.Server + got.ContentType + got.Error; !utf8.ValidString(text) {
				t.Errorf("the facts have %q", text)
			}
		})
	}
}

// hops redirects n times to itself, and then to another place.
func hops(n int, last string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "end" {
			http.NotFound(w, r)
			return
		}
		i, _ := strconv.Atoi(r.URL.RawQuery)
		to := fmt.Sprintf("http://old.com$path?%d", i+1)
		if i == n {
			to = last
		}
		redirect(302, to)(w, r)
	}
}

// A customer's zone and host may make more ways than can be walked.
func TestProbeOfManyWays(t *testing.T) {
	node := []string{"11.0.0.1", "11.0.0.2", "11.0.0.3", "11.0.0.4"}
	h := &hosts{t: t, at: map[string]string{}}
	for _, addr := range append(node, "11.1.0.1") {
		h.serve(addr+":80", hops(8, "http://old.com$path?end"))
	}
	got := h.network().Probe(t.Context(), Target{Host: "old.com", Address: netip.MustParseAddr("11.1.0.1"), Own: parseAll(node), Nodes: parseAll(node)})
	if got.Reached || !strings.Contains(got.Error, "too many ways") {
		t.Errorf("got %s", show(got))
	}
}

// A redirect to the host itself is a new choice among all its addresses.
func TestProbeOfAHostThatRedirectsToItself(t *testing.T) {
	node, old, old6 := netip.MustParseAddr("11.0.0.1"), netip.MustParseAddr("11.1.0.1"), netip.MustParseAddr("2e00:db8::99")
	toHTTPS := func(w http.ResponseWriter, r *http.Request) {
		if r.TLS != nil {
			redirect(301, "http://n1.com$path")(w, r)
			return
		}
		redirect(301, "https://old.com$path")(w, r)
	}
	for _, test := range []struct {
		reason  string
		address netip.Addr
		own     []netip.Addr
		secure  []string // the addresses with port 443
		spent   int
		reached bool
		err     string
	}{
		{"over IPv6", old6, []netip.Addr{old, old6}, []string{"[2e00:db8::99]:443"}, 0, true, ""},
		{"back to IPv4, because port 443 of IPv6 is closed", old6, []netip.Addr{old, old6}, []string{"11.1.0.1:443"}, 0, true, ""},
		{"back to IPv4, which is not the host", old6, []netip.Addr{node, old6}, nil, 0, false, "refused"},
		{"no IPv4 to go back to", old6, []netip.Addr{old6}, []string{"11.1.0.1:443"}, 0, false, "refused"},
		{"from IPv4 to the IPv6 that is dead on port 80 alone", old, []netip.Addr{old, old6}, []string{"[2e00:db8::99]:443"}, 1, true, ""},
	} {
		t.Run(test.reason, func(t *testing.T) {
			h := &hosts{t: t, at: map[string]string{}}
			h.serve("11.0.0.1:80", http.NotFound)
			h.serve("11.1.0.1:80", toHTTPS)
			h.serve("[2e00:db8::99]:80", toHTTPS)
			for _, at := range test.secure {
				h.serve(at, toHTTPS)
			}
			got := h.network().Probe(t.Context(), Target{
				Host: "old.com", Address: test.address, Own: test.own, Spent: test.spent, Nodes: []netip.Addr{node},
				Lookup: func(string) []netip.Addr { return []netip.Addr{node} },
			})
			if got.Reached != test.reached || !strings.Contains(got.Error, test.err) {
				t.Errorf("got %s", show(got))
			}
		})
	}
}

func TestDial(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	h := &hosts{t: t, at: map[string]string{"192.0.2.1:80": listener.Addr().String()}}
	if got := h.network().Dial(t.Context(), netip.MustParseAddr("192.0.2.1")); got != dnsgate.DialOpen {
		t.Error(got)
	}
	if got := h.network().Dial(t.Context(), netip.MustParseAddr("192.0.2.2")); got != dnsgate.DialRefused {
		t.Error(got)
	}
	for err, want := range map[error]dnsgate.Dial{
		context.DeadlineExceeded: dnsgate.DialTimeout,
		context.Canceled:         dnsgate.DialError,
	} {
		if got := dialOutcome(err); got != want {
			t.Errorf("%v: %s", err, got)
		}
	}
}
