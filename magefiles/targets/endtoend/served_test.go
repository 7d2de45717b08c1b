package endtoend_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/internal/fleet"
)

// issue makes a certificate of a CA, self-signed if the CA has no name.
func issue(t *testing.T, ca string, from, until time.Time, names ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names, NotBefore: from, NotAfter: until}
	parent := template
	if ca != "" {
		parent = &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: ca}}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// serveTLS serves certificates by SNI at port 443 of a node's own address, until the test
// ends or stop is called.
func serveTLS(t *testing.T, n *fleet.Node, certificates map[string]tls.Certificate) (stop func()) {
	t.Helper()
	l, err := tls.Listen("tcp", net.JoinHostPort(n.Address, "443"), &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if c, ok := certificates[hello.ServerName]; ok {
			return &c, nil
		}
		return nil, fmt.Errorf("there is no certificate for %q", hello.ServerName)
	}})
	if err != nil {
		t.Fatal(err)
	}
	stop = func() { _ = l.Close() }
	t.Cleanup(stop)
	go func() {
		for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
			go func() {
				defer conn.Close()
				_ = conn.(*tls.Conn).Handshake()
			}()
		}
	}()
	return stop
}

// `mage status -tls` asks the nodes for the certificate of each virtual host, says what
// differs from the plan, and ends with 2 then.
func TestServed(t *testing.T) {
	hosts := []string{"good", "names", "old", "self", "none"} // below acme.com
	w := newWorld(t, standIn(t), fleet.Options{Nodes: 2, Environments: 1, Deployed: true, Inventory: func(inventory map[string]any) {
		inventory["provider"].(map[string]any)["domains"] = map[string]any{"acme.com": "acme"}
		for i, names := range [][]string{hosts, {"second"}} {
			environment := inventory["projects"].(map[string]any)[fmt.Sprintf("acme__s%de1", i+1)].(map[string]any)["environments"].(map[string]any)["main"].(map[string]any)
			for _, name := range names {
				environment["virtualHosts"].(map[string]any)[name+".acme.com"] = map[string]any{
					"allowIndexing": true, "enableLetsEncrypt": true, "globalRedirect": nil, "locations": map[string]any{}, "redirectCode": 301,
				}
			}
		}
	}})
	w.wants(w.deploy(), 0) // the state then has the node of each environment
	now := time.Now().UTC().Truncate(time.Second)
	from, until, ended := now.AddDate(0, 0, -30), now.AddDate(0, 0, 60), now.Add(-time.Hour)
	right := func(name string) tls.Certificate {
		return issue(t, "E7", from, until, name+".acme.com")
	}
	serveTLS(t, w.Nodes[0], map[string]tls.Certificate{
		"good.acme.com":  right("good"),
		"names.acme.com": issue(t, "E7", from, until, "other.acme.com", "www.names.acme.com"),
		"old.acme.com":   issue(t, "E7", from, ended, "old.acme.com"),
		"self.acme.com":  issue(t, "", from, until, "self.acme.com"),
	})
	stop := serveTLS(t, w.Nodes[1], map[string]tls.Certificate{"second.acme.com": right("second")})

	w.wants(w.run("status"), 0)
	r := w.wants(w.run("status", "-tls"), 2)
	contains(t, r.stdout,
		"\nover TLS:\n  n1 names.acme.com: serves a certificate without names.acme.com; it has other.acme.com and www.names.acme.com (issuer CN=E7)\n    hint: ",
		"\n  n1 none.acme.com: serves no certificate: ",
		"\n  n1 old.acme.com: serves a certificate that expired on "+ended.Format(time.DateOnly)+" (issuer CN=E7)\n",
		"\n  n1 self.acme.com: serves a self-signed certificate\n")
	contains(t, r.stderr, "a node serves another certificate than the plan has")
	if strings.Contains(r.stdout, "good.acme.com") || strings.Contains(r.stdout, "second.acme.com") {
		t.Errorf("what is right is no difference:\n%s", r)
	}

	// Nodes of a selection, and one that does not answer.
	contains(t, w.wants(w.run("status", "-tls", "-node=n2"), 0).stdout, "\nover TLS: 1 virtual host is served as the plan has it\n")
	stop()
	r = w.wants(w.run("status", "-tls", "-node=n2"), 2)
	contains(t, r.stdout, "\n  n2: takes no connection: dial tcp "+w.Nodes[1].Address+":443: ", "hint: check that the node runs, and that its port 443 is open to this machine")

	// Lines of JSON, after those of the profiles.
	type difference struct {
		Kind, Node, Host, Issuer string
		Names, Missing           []string
		NotAfter                 time.Time
	}
	var got []difference
	for line := range strings.Lines(w.wants(w.run("status", "-tls", "-json"), 2).stdout) {
		var d difference
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		if d.Kind != "" {
			got = append(got, d)
		}
	}
	want := []difference{
		{Kind: "wrong-names", Node: "n1", Host: "names.acme.com", Issuer: "CN=E7", Names: []string{"other.acme.com", "www.names.acme.com"}, Missing: []string{"names.acme.com"}, NotAfter: until},
		{Kind: "none", Node: "n1", Host: "none.acme.com"},
		{Kind: "expired", Node: "n1", Host: "old.acme.com", Issuer: "CN=E7", Names: []string{"old.acme.com"}, NotAfter: ended},
		{Kind: "self-signed", Node: "n1", Host: "self.acme.com", Issuer: "CN=self.acme.com", Names: []string{"self.acme.com"}, NotAfter: until},
		{Kind: "no-answer", Node: "n2"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the lines of -json (-want +got):\n%s", diff)
	}
}
