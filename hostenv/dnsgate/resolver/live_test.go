package resolver

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
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
	mu    sync.Mutex
	calls []string
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
	return &dnsgate.ProbeFacts{Status: 404}
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
	for _, live := range []bool{false, true} {
		checks := &standIn{}
		config := f.config()
		config.Live = checks
		question.Live = live
		facts, err := New(config).Collect(t.Context(), question)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		if live {
			want = []string{"dial 2e00:db8::6",
				"probe four.shop.test[11.0.2.1 2e00:db8::1] 11.0.2.1",
				"probe four.shop.test[11.0.2.1 2e00:db8::1] 11.0.2.4"}
			if got := facts.Names["six.shop.test"].Live; got == nil || got.Dials["2e00:db8::6"] != dnsgate.DialRefused || got.Probes["2e00:db8::6"] != nil || got.Probes["11.0.2.1"] != nil {
				t.Errorf("six: %s", show(got))
			}
		}
		slices.Sort(checks.calls)
		if diff := cmp.Diff(want, checks.calls); diff != "" {
			t.Errorf("live %v (-want +got):\n%s", live, diff)
		}
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
	node, old := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1")
	addresses := map[string][]netip.Addr{"old.test": {old}, "n1.test": {node}, "six.test": {node, netip.MustParseAddr("2001:db8::6")}, "two.test": {node, old}}
	for _, test := range []struct {
		reason, host string
		old          http.HandlerFunc
		reached      bool
		hops         int
		err          string
	}{
		{"redirected to the node", "old.test", redirect(301, "http://n1.test$path"), true, 1, ""},
		{"over https, with any certificate", "old.test", redirect(308, "https://n1.test$path"), true, 1, ""},
		{"307 with the port", "old.test", redirect(307, "http://n1.test:80/x"), true, 1, ""},
		{"303 is not followed", "old.test", redirect(303, "http://n1.test/"), false, 0, ""},
		{"served elsewhere", "old.test", http.NotFound, false, 0, ""},
		{"another port", "old.test", redirect(302, "http://n1.test:8080/"), false, 1, "port 8080"},
		{"a reserved address", "old.test", redirect(302, "http://192.0.2.1/"), false, 1, "reserved"},
		{"the node's address", "old.test", redirect(302, "http://11.0.0.10/"), true, 1, ""},
		{"another scheme", "old.test", redirect(302, "ftp://n1.test/"), false, 1, "ftp"},
		{"no place", "old.test", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(301) }, false, 0, "without a place"},
		{"in circles", "old.test", redirect(302, "http://old.test/"), false, 10, "more than 10"},
		{"to nowhere", "old.test", redirect(302, "http://gone.test/"), false, 1, "no address"},
		{"no answer", "old.test", nil, false, 0, "refused"},
		{"to the node, whose IPv6 is dead", "old.test", redirect(302, "http://six.test/"), true, 1, ""},
		{"to one of the node and another", "old.test", redirect(302, "http://two.test/"), false, 1, ""},
		{"headers that are no text", "old.test", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Server", "\xff")
			w.Header().Set("Content-Type", "a/\xfe")
			w.WriteHeader(404)
		}, false, 0, ""},
		{"to https on itself", "old.test", redirect(302, "https://old.test/"), false, 1, "refused"},
	} {
		t.Run(test.reason, func(t *testing.T) {
			h := &hosts{t: t, at: map[string]string{}}
			h.serve("192.0.2.1:80", http.NotFound)
			h.serve("192.0.2.1:443", http.NotFound)
			if test.old != nil {
				h.serve("198.51.100.1:80", test.old)
			}
			h.serve("11.0.0.10:80", http.NotFound)
			got := h.network().Probe(t.Context(), Target{Host: test.host, Address: old, Token: "x", Nodes: []netip.Addr{node, netip.MustParseAddr("11.0.0.10")},
				Lookup: func(host string) []netip.Addr { return addresses[host] }})
			if got.Reached != test.reached || len(got.Hops) != test.hops || !strings.Contains(got.Error, test.err) || test.err == "" && got.Error != "" {
				t.Errorf("got %s", show(got))
			}
			if text := got.Server + got.ContentType + got.Error; !utf8.ValidString(text) {
				t.Errorf("the facts have %q", text)
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
