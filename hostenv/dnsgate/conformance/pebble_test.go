package conformance

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/acme"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// TestIssuance orders two certificates from Pebble over ACME: one for a name
// that the gate passes, and one for a name that it fails.
func TestIssuance(t *testing.T) {
	program := testenv.Need(t, "pebble")
	lab := laboratory(t)
	client := startPebble(t, lab, program)
	results, err := lab.Compare(t.Context(), []Situation{
		simple("issuance: the node's", "www A {n4}"),
		simple("issuance: elsewhere", "www A {e4}"),
	}, Repeats{Pass: 1, Fail: 1}, 2)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []dnsgate.Result{dnsgate.Pass, dnsgate.Fail} {
		c := results[i]
		remove, err := c.Install(lab.Fleet, lab.Web)
		if err != nil {
			t.Fatal(err)
		}
		defer remove()
		certificate, err := order(t.Context(), lab, client, c.Host, c.Node)
		switch {
		case c.Verdict.Result != want:
			t.Errorf("%s: the verdict of the gate is %s, %s; want %s", c.Name, c.Verdict.Result, c.Verdict.Reason, want)
		case want == dnsgate.Pass && err != nil:
			t.Errorf("%s: the gate passes it, but there is no certificate: %v", c.Name, err)
		case want == dnsgate.Pass && !slices.Equal(certificate.DNSNames, []string{c.Host}):
			t.Errorf("%s: a certificate for %q", c.Name, certificate.DNSNames)
		case want == dnsgate.Fail && err == nil:
			t.Errorf("%s: the gate fails it, but there is a certificate", c.Name)
		}
		var refused *acme.AuthorizationError
		if want == dnsgate.Fail && !errors.As(err, &refused) {
			t.Errorf("%s: the order fails, but not in the authorization: %v", c.Name, err)
		}
		t.Logf("%s: %s, %s; ACME says %v", c.Name, c.Verdict.Result, c.Verdict.Reason, err)
	}
}

// startPebble starts Pebble with the gate's resolver and returns a client with
// an account.
func startPebble(t *testing.T, lab *Lab, program string) *acme.Client {
	t.Helper()
	config := filepath.Join(t.TempDir(), "pebble.json")
	text := fmt.Sprintf(`{"pebble": {"listenAddress": "127.0.0.1:14000", "managementListenAddress": "127.0.0.1:15000",
		"certificate": %q, "privateKey": %q, "httpPort": 80, "tlsPort": 443}}`, lab.cert, lab.key)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-config", config, "-dnsserver", lab.Gate())
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("pebble: %s", out.Bytes())
		}
	})
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	client := &acme.Client{
		Key: key, DirectoryURL: "https://127.0.0.1:14000/dir",
		HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: lab.roots, MinVersion: tls.VersionTLS12}}},
	}
	deadline := time.Now().Add(testenv.Patience)
	for {
		_, err := client.Register(t.Context(), &acme.Account{}, acme.AcceptTOS)
		if err == nil {
			return client
		}
		if time.Now().After(deadline) {
			t.Fatalf("pebble does not answer: %v", err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// order does what an ACME client on the node does.
func order(ctx context.Context, lab *Lab, client *acme.Client, host, node string) (*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, testenv.Patience)
	defer cancel()
	o, err := client.AuthorizeOrder(ctx, acme.DomainIDs(host))
	if err != nil {
		return nil, err
	}
	for _, url := range o.AuthzURLs {
		authorization, err := client.GetAuthorization(ctx, url)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(authorization.Challenges, func(c *acme.Challenge) bool { return c.Type == "http-01" })
		if i < 0 {
			return nil, errors.New("no HTTP-01 challenge is offered")
		}
		token := authorization.Challenges[i].Token
		answer, err := client.HTTP01ChallengeResponse(token)
		if err != nil {
			return nil, err
		}
		defer lab.Web.Hold(node, token, answer)()
		if _, err := client.Accept(ctx, authorization.Challenges[i]); err != nil {
			return nil, err
		}
		if _, err := client.WaitAuthorization(ctx, url); err != nil {
			return nil, err
		}
	}
	if o, err = client.WaitOrder(ctx, o.URI); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{host}}, key)
	if err != nil {
		return nil, err
	}
	chain, _, err := client.CreateOrderCert(ctx, o.FinalizeURL, request, true)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(chain[0])
}
