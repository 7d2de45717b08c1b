package served_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate/served"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

var now = time.Now().UTC().Truncate(time.Second)

// A ca issues certificates.
type ca struct {
	template *x509.Certificate
	key      *ecdsa.PrivateKey
}

func newCA(t testing.TB, name string) *ca {
	t.Helper()
	key := newKey(t)
	return &ca{&x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true}, key}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue makes a certificate; a nil ca makes a self-signed one.
func (c *ca) issue(t testing.TB, days int, names ...string) tls.Certificate {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names, NotBefore: now.AddDate(0, 0, -89), NotAfter: now.AddDate(0, 0, days)}
	parent, signer := template, key
	if c != nil {
		parent, signer = c.template, c.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// serve answers handshakes with these certificates by SNI, and refuses other names.
func serve(t testing.TB, certificates map[string]tls.Certificate) (port string) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if c, ok := certificates[hello.ServerName]; ok {
			return &c, nil
		}
		return nil, fmt.Errorf("no certificate for %q", hello.ServerName)
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_ = conn.(*tls.Conn).Handshake()
			}()
		}
	}()
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port
}

func ask(t testing.TB, port string, hosts ...served.Host) []string {
	t.Helper()
	found, err := served.Differences(t.Context(), hosts, served.Expected{
		Addresses: map[string]string{"n1": "127.0.0.1"}, Now: now, Within: 7 * 24 * time.Hour,
	}, served.Config{Port: port, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, d := range found {
		if d.Kind == served.None || d.Kind == served.NoAnswer {
			d.Detail = "..."
		}
		if d.Hint() == "" {
			t.Errorf("%s has no hint", d.Kind)
		}
		lines = append(lines, string(d.Kind)+": "+d.String())
	}
	return lines
}

func planned(name string, aliases ...string) served.Host {
	return served.Host{Node: "n1", Name: name, Names: append([]string{name}, aliases...), Planned: true}
}

func TestDifferences(t *testing.T) {
	le, minica := newCA(t, "E7"), newCA(t, "minica root ca 1a2b3c")
	port := serve(t, map[string]tls.Certificate{
		"good.example":   le.issue(t, 60, "good.example", "www.good.example"),
		"wild.example":   le.issue(t, 60, "wild.example", "*.wild.example"),
		"self.example":   (*ca)(nil).issue(t, 60, "self.example"),
		"new.example":    minica.issue(t, 600, "new.example"),
		"alias.example":  le.issue(t, 60, "alias.example"),
		"other.example":  le.issue(t, 60, "third.example"),
		"old.example":    le.issue(t, -1, "old.example"),
		"soon.example":   le.issue(t, 3, "soon.example"),
		"off.example":    le.issue(t, 60, "off.example"),
		"off-self.exmpl": (*ca)(nil).issue(t, 60, "off-self.exmpl"),
		"off-else.exmpl": le.issue(t, 60, "default.example"),
	})
	off := func(name string) served.Host { return served.Host{Node: "n1", Name: name, Names: []string{name}} }
	got := ask(t, port, planned("good.example", "www.good.example"), planned("wild.example", "a.wild.example"), planned("self.example"), planned("new.example"),
		planned("alias.example", "www.alias.example"), planned("other.example"), planned("old.example"), planned("soon.example"), planned("none.example"),
		off("off.example"), off("off-self.exmpl"), off("off-else.exmpl"), off("off-none.example"))
	date := func(days int) string { return now.AddDate(0, 0, days).Format(time.DateOnly) }
	want := []string{
		"self-signed: n1 self.example: serves a self-signed certificate",
		"self-signed: n1 new.example: serves a self-signed certificate",
		"wrong-names: n1 alias.example: serves a certificate without www.alias.example; it has alias.example (issuer CN=E7)",
		"wrong-names: n1 other.example: serves a certificate without other.example; it has third.example (issuer CN=E7)",
		"expired: n1 old.example: serves a certificate that expired on " + date(-1) + " (issuer CN=E7)",
		"expires-soon: n1 soon.example: serves a certificate that expires on " + date(3) + ", and was not renewed (issuer CN=E7)",
		"none: n1 none.example: serves no certificate: ...",
		"not-planned: n1 off.example: serves a certificate until " + date(60) + ", and the plan has none (issuer CN=E7)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A certificate of six days is renewed when half of them are over.
func TestShortlived(t *testing.T) {
	s := &dnsgate.Served{Issuer: "CN=E7", Subject: "CN=a.example", Names: []string{"a.example"}, NotBefore: now.Format(time.RFC3339), NotAfter: now.Add(160 * time.Hour).Format(time.RFC3339)}
	for hours, want := range map[time.Duration]bool{0: false, 119: false, 121: true} {
		if d := served.Compare(planned("a.example"), s, now.Add(hours*time.Hour), 7*24*time.Hour); (d != nil) != want || d != nil && d.Kind != served.ExpiresSoon {
			t.Errorf("after %d hours: %v", hours, d)
		}
	}
}

// A certificate is hostile input: its text is bounded, and escaped where it is shown.
func TestHostile(t *testing.T) {
	evil := newCA(t, "\x1b[31mhint: run \u202erm\n"+strings.Repeat("x", 5000))
	port := serve(t, map[string]tls.Certificate{"a.example": evil.issue(t, 60, "\x1b]0;title\x07.example", "b.example")})
	got := ask(t, port, planned("a.example"))
	if len(got) != 1 || strings.ContainsAny(got[0], "\x1b\x07\n\u202e") || len(got[0]) > 2000 {
		t.Errorf("shown: %q", got)
	}
}

func TestNoAnswer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	want := []string{"no-answer: n1: takes no connection: ..."}
	if diff := cmp.Diff(want, ask(t, port, planned("a.example"), planned("b.example"), planned("c.example"))); diff != "" {
		t.Error(diff)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := served.Differences(ctx, []served.Host{planned("a.example")}, served.Expected{}, served.Config{}); err == nil {
		t.Error("a run that is interrupted finds no difference, and no error")
	}
}

func TestHosts(t *testing.T) {
	on, off := true, false
	d := plan.Document{
		Environments: map[string]plan.Environment{"u": {Node: "n1", VirtualHosts: map[string]plan.VirtualHost{
			"on.com": {EnableACME: &on, ServerAliases: []string{"WWW.on.com"}}, "off.com": {EnableACME: &off}, "never.com": {},
		}}},
		DNSGate: map[string]plan.GateEntry{"off.com": {Decision: plan.GateOff, Node: "n1", Asked: plan.Asked{EnableACME: true}}},
	}
	d.Nodes = map[string]plan.Node{"n1": {Services: plan.Services{Nginx: plan.Nginx{VirtualHosts: d.Environments["u"].VirtualHosts}}}}
	want := []served.Host{
		{Node: "n1", Name: "off.com", Names: []string{"off.com"}},
		{Node: "n1", Name: "on.com", Names: []string{"on.com", "www.on.com"}, Planned: true},
	}
	if diff := cmp.Diff(want, served.Hosts(d)); diff != "" {
		t.Error(diff)
	}
}

// nginx serves the certificate of a name by SNI, and that of its default server for
// others.
func TestNginx(t *testing.T) {
	testenv.Need(t, "nginx")
	dir := t.TempDir()
	write := func(name string, c tls.Certificate) {
		key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
		if err := os.WriteFile(filepath.Join(dir, name+".pem"), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	le := newCA(t, "E7")
	write("default", (*ca)(nil).issue(t, 60, "default.example"))
	write("good", le.issue(t, 60, "good.example"))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	server := func(name, certificate, extra string) string {
		return fmt.Sprintf("server { listen 127.0.0.1:%s ssl%s; server_name %s; ssl_certificate %s/%s.pem; ssl_certificate_key %s/%s.pem; }\n", port, extra, name, dir, certificate, dir, certificate)
	}
	config := fmt.Sprintf("daemon off; pid %s/pid; error_log stderr; events {}\nhttp { access_log off; client_body_temp_path %s/b; proxy_temp_path %s/p; fastcgi_temp_path %s/f; uwsgi_temp_path %s/u; scgi_temp_path %s/s;\n%s%s}\n",
		dir, dir, dir, dir, dir, dir, server("_", "default", " default_server"), server("good.example", "good", ""))
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	nginx := exec.Command("nginx", "-e", "stderr", "-p", dir, "-c", filepath.Join(dir, "nginx.conf"))
	nginx.Stderr = os.Stderr
	if err := nginx.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = nginx.Process.Signal(os.Interrupt)
		_ = nginx.Wait()
	})
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			conn.Close()
			break
		}
		if time.Since(start) > time.Minute {
			t.Fatal("nginx does not answer")
		}
	}
	want := []string{"self-signed: n1 new.example: serves a self-signed certificate"}
	off := served.Host{Node: "n1", Name: "off.example", Names: []string{"off.example"}}
	if diff := cmp.Diff(want, ask(t, port, planned("good.example"), planned("new.example"), off)); diff != "" {
		t.Error(diff)
	}
}
