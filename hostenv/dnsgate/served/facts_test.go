package served_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate/served"
)

// A node's certificate and header are those of the virtual host that is asked for, at
// the first of its addresses that answers.
func TestFacts(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	node := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.Method+" "+r.Host+r.URL.Path+" "+r.TLS.ServerName)
		w.Header().Set("Strict-Transport-Security", "max-age=9")
		http.Redirect(w, r, "https://elsewhere.example/", http.StatusFound)
	}))
	node.TLS = &tls.Config{}
	node.StartTLS()
	defer node.Close()
	mute, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and closes them
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	go func() {
		for conn, err := mute.Accept(); err == nil; conn, err = mute.Accept() {
			conn.Close()
		}
	}()
	var dialled []string
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		mu.Lock()
		dialled = append(dialled, address)
		mu.Unlock()
		to := "127.0.0.1:1" // refuses
		switch address {
		case "11.0.0.2:443":
			to = node.Listener.Addr().String()
		case "11.0.0.3:443":
			to = mute.Addr().String()
		}
		return new(net.Dialer).DialContext(ctx, network, to)
	}
	answer := func(addresses ...string) *dnsgate.NodeFacts {
		return &dnsgate.NodeFacts{A: dnsgate.Lookup{Outcome: dnsgate.OutcomeAnswer, Addresses: addresses}}
	}
	facts := &dnsgate.Facts{Nodes: map[string]*dnsgate.NodeFacts{"n1": answer("11.0.0.1", "11.0.0.2"), "n2": answer("11.0.0.1"), "n3": answer("11.0.0.3")}}
	of := func(host, node string) dnsgate.Certificate {
		return dnsgate.Certificate{Host: host, Names: []string{host}, NodeName: node}
	}
	got := served.Facts(t.Context(), facts, []dnsgate.Certificate{of("a.example.com", "n1"), of("b.example.com", "n2"), of("c.example.com", "n3"), of("d.example.com", "n4"), of("a_b.example.com", "n1")},
		nil, served.Config{Dial: dial, HSTS: true, AtOnce: 2, Timeout: time.Minute})
	leaf := node.Certificate()
	want := &dnsgate.Served{
		Issuer: leaf.Issuer.String(), Subject: leaf.Subject.String(), Names: leaf.DNSNames, HSTS: "max-age=9",
		NotBefore: leaf.NotBefore.UTC().Format(time.RFC3339), NotAfter: leaf.NotAfter.UTC().Format(time.RFC3339),
	}
	if diff := cmp.Diff(want, got["a.example.com"]); diff != "" {
		t.Errorf("a.example (-want +got):\n%s", diff)
	}
	for host, want := range map[string]string{"b.example.com": "answer", "c.example.com": "EOF|reset", "d.example.com": "no address", "a_b.example.com": "only letters"} {
		s, some := got[host], false
		for text := range strings.SplitSeq(want, "|") {
			some = some || strings.Contains(s.Error, text)
		}
		if !some && !strings.Contains(s.Error, "refused") || s.NotAfter != "" {
			t.Errorf("%s is %+v, want an error about %s", host, s, want)
		}
	}
	if diff := cmp.Diff([]string{"HEAD a.example.com/ a.example.com"}, asked); diff != "" {
		t.Errorf("the requests (-want +got):\n%s", diff)
	}
	first := 0
	for _, addr := range dialled {
		if addr == "11.0.0.1:443" {
			first++
		}
	}
	if first == 0 || first > 2 {
		t.Errorf("the address that refuses was dialled %d times, and at most once for each host at once", first)
	}
}

// A look at a node connects to no address that is not public, but to those of the
// provider's networks.
func TestFactsArePublic(t *testing.T) {
	facts := &dnsgate.Facts{Nodes: map[string]*dnsgate.NodeFacts{"n1": {A: dnsgate.Lookup{Outcome: dnsgate.OutcomeAnswer, Addresses: []string{"127.0.0.1"}}}}}
	certificates := []dnsgate.Certificate{{Host: "a.example.com", Names: []string{"a.example.com"}, NodeName: "n1"}}
	if s := served.Facts(t.Context(), facts, certificates, nil, served.Config{Port: "1"})["a.example.com"]; !strings.Contains(s.Error, "loopback") {
		t.Errorf("the look is %+v", s)
	}
	private := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	if s := served.Facts(t.Context(), facts, certificates, private, served.Config{Port: "1"})["a.example.com"]; !strings.Contains(s.Error, "refused") {
		t.Errorf("the look in a network of the provider's is %+v", s)
	}
}
