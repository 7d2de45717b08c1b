package verify_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/verify"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan/checks"
)

// document is a plan with one environment, shop, on node-a: www.shop.test and
// its alias over TLS, plain.shop.test without. Its verification is the text.
func document(t *testing.T, verification string) plan.Document {
	t.Helper()
	hosts := `{
		"www.shop.test": {"forceSSL": true, "enableACME": true, "serverAliases": ["alias.shop.test"]},
		"old.shop.test": {"forceSSL": true},
		"plain.shop.test": {"forceSSL": false},
		"gated.shop.test": {"forceSSL": false, "enableACME": true},
		"*.wild.shop.test": {}}`
	d, err := plan.DecodeDocument([]byte(`{"formatVersion": 1, "hostenvHostname": "hosting.test",
		"environments": {"shop": {"enable": true, "node": "node-a", "hostenv": {"hostname": "plain.shop.test"},
			"virtualHosts": ` + hosts + `, "deploymentVerification": ` + verification + `}},
		"nodes": {"node-a": {"services": {"nginx": {"virtualHosts": ` + strings.TrimSuffix(hosts, "}") + `, "blog.other.test": {"forceSSL": true}}}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// verification returns a verification with a single enforced check.
func verification(request, constraints string) string {
	return `{"enable": true, "enforce": true, "checks": [{"name": "it", "type": "httpHostHeaderCurl",
		"request": ` + request + `, "constraints": ` + constraints + `}]}`
}

var nodeA = deploy.Node{Name: "node-a", Address: "192.0.2.7", PublicName: "node-a.hosting.test"}

// A frontDoor is a node as seen from outside: a server for port 80 and one for
// port 443, which has a certificate for each name of certified and shows that of
// another for any other.
type frontDoor struct {
	options verify.Options
	mu      sync.Mutex
	dialed  []string
	seen    []string // "<SNI or ->: <method> <Host> <path>"
}

func newFrontDoor(t *testing.T, certified []string, handler http.HandlerFunc) *frontDoor {
	t.Helper()
	roots, issue := authority(t)
	certificates := map[string]tls.Certificate{}
	for _, name := range certified {
		certificates[name] = issue(name)
	}
	fallback := issue("snakeoil.test")
	door := &frontDoor{}
	recorded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sni := "-"
		if r.TLS != nil {
			sni = r.TLS.ServerName
		}
		door.mu.Lock()
		door.seen = append(door.seen, sni+": "+r.Method+" "+r.Host+" "+r.URL.RequestURI())
		door.mu.Unlock()
		handler(w, r)
	})
	quiet := log.New(io.Discard, "", 0)
	plain := httptest.NewUnstartedServer(recorded)
	plain.Config.ErrorLog = quiet
	plain.Start()
	t.Cleanup(plain.Close)
	secure := httptest.NewUnstartedServer(recorded)
	secure.Config.ErrorLog = quiet
	secure.TLS = &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if c, ok := certificates[hello.ServerName]; ok {
			return &c, nil
		}
		return &fallback, nil
	}}
	secure.StartTLS()
	t.Cleanup(secure.Close)
	ports := map[string]string{
		"node-a.hosting.test:80":  plain.Listener.Addr().String(),
		"node-a.hosting.test:443": secure.Listener.Addr().String(),
	}
	door.options = verify.Options{
		Roots: roots, Tries: 1, Pause: time.Nanosecond,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			door.mu.Lock()
			door.dialed = append(door.dialed, address)
			door.mu.Unlock()
			target, ok := ports[address]
			if !ok {
				return nil, fmt.Errorf("the test has no %s", address)
			}
			return (&net.Dialer{}).DialContext(ctx, network, target)
		},
	}
	return door
}

// authority makes a certificate authority.
func authority(t *testing.T) (*x509.CertPool, func(name string) tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	sign := func(leaf *x509.Certificate) []byte {
		der, err := x509.CreateCertificate(rand.Reader, leaf, root, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	parsed, err := x509.ParseCertificate(sign(root))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return roots, func(name string) tls.Certificate {
		der := sign(&x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{name}, NotBefore: root.NotBefore, NotAfter: root.NotAfter})
		return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	}
}

// one runs a single check and returns its result.
func (d *frontDoor) one(t *testing.T, request, constraints string) deploy.Check {
	t.Helper()
	d.mu.Lock()
	d.seen, d.dialed = nil, nil
	d.mu.Unlock()
	v := verify.New(document(t, verification(request, constraints)), d.options)
	got := v.Verify(t.Context(), nodeA, "shop", deploy.Asking{})
	if !got.Enforce || len(got.Checks) != 1 {
		t.Fatalf("%+v", got)
	}
	return got.Checks[0]
}

// site is a customer's site: host and path decide what it serves.
func site(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/ok", "//other.test/@other.test:1/../ok":
		fmt.Fprint(w, "<h1>\nhello from "+r.Host+"\n</h1>")
	case "/to-old":
		http.Redirect(w, r, "https://old.shop.test/ok?token=t0p", http.StatusFound)
	case "/to-plain":
		http.Redirect(w, r, "http://Plain.shop.test:80/ok", http.StatusFound)
	case "/to-other":
		http.Redirect(w, r, "https://login.example/start?token=t0p-s3cret", http.StatusFound)
	case "/to-port":
		http.Redirect(w, r, "http://plain.shop.test:8080/ok", http.StatusFound)
	case "/loop":
		http.Redirect(w, r, "/loop", http.StatusFound)
	case "/hop1":
		http.Redirect(w, r, "/hop2", http.StatusFound)
	case "/hop2":
		http.Redirect(w, r, "/ok", http.StatusFound)
	case "/to-nonsense":
		w.Header().Set("Location", "https://login.example/%zz?token=t0p-s3cret")
		w.WriteHeader(http.StatusFound)
	case "/to-nowhere":
		w.WriteHeader(http.StatusFound)
	case "/private":
		w.Header().Set("WWW-Authenticate", "Basic")
		http.Error(w, "no", http.StatusUnauthorized)
	case "/broken":
		http.Error(w, "hello, this is an error", http.StatusBadGateway)
	case "/huge":
		// The end is after more bytes than the check reads.
		_, _ = io.CopyN(w, neverending('a'), checks.MaxBody)
		fmt.Fprint(w, "the end")
	case "/endless":
		_, _ = io.Copy(w, neverending('a'))
	case "/reset", "/half":
		c, b, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		if r.URL.Path == "/half" {
			fmt.Fprint(b, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
			_ = b.Flush()
		}
		_ = c.Close()
	default:
		http.NotFound(w, r)
	}
}

type neverending byte

func (n neverending) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(n)
	}
	return len(p), nil
}

func TestChecks(t *testing.T) {
	// A proxy that the environment variables name must not be used.
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"} {
		t.Setenv(name, "http://127.0.0.1:1")
	}
	door := newFrontDoor(t, []string{"www.shop.test", "alias.shop.test"}, site)
	const (
		good  = `{"minHttpStatus": 200, "maxHttpStatus": 299}`
		hello = `{"minHttpStatus": 200, "maxHttpStatus": 299, "stdoutRegexMustMatch": "^hello"}`
		www   = `{"virtualHost": "www.shop.test", "path": `
		plain = `{"virtualHost": "plain.shop.test", "path": `
		old   = `{"virtualHost": "old.shop.test", "path": ` // whose certificate is another's
	)
	tests := []struct {
		request, constraints string
		status               int
		problem              string // "" if it passes
	}{
		{www + `"/ok"}`, hello, 200, ""},
		{`{"virtualHost": "alias.shop.test", "path": "/ok"}`, `{"stdoutRegexMustMatch": "from alias.shop.test$"}`, 200, ""},
		{plain + `"/ok", "method": "HEAD"}`, good, 200, ""},
		{plain + `"/ok"}`, `{"stdoutRegexMustMatch": "goodbye"}`, 200, `the body (37 bytes) does not match "goodbye"`},
		{plain + `"/missing"}`, good, 404, "the status is 404 (Not Found), and should be from 200 to 299"},
		{plain + `"/missing"}`, `[]`, 404, ""},
		{plain + `"//other.test/@other.test:1/../ok"}`, good, 200, ""},
		{plain + `"/private"}`, good, 401, "the status is 401 (a password is required), and should be from 200 to 299"},
		{plain + `"/private"}`, `{"minHttpStatus": 401, "maxHttpStatus": 401}`, 401, ""},
		{plain + `"/broken"}`, hello, 502, "the status is 502 (Bad Gateway), and should be from 200 to 299"},
		{plain + `"/broken"}`, `{"stderrRegexMustNotMatch": "."}`, 502, ""},

		// Certificates.
		{old + `"/ok"}`, hello, 0, "tls: failed to verify certificate: x509: certificate is valid for snakeoil.test, not old.shop.test"},
		{old + `"/ok", "tlsMode": "insecure"}`, hello, 200, ""},

		// Redirects.
		{plain + `"/to-plain"}`, good, 302, "the status is 302 (Found), and should be from 200 to 299"},
		{plain + `"/to-plain"}`, `{"stdoutRegexMustMatch": "hello", "skipStdoutRegexOnRedirect": true}`, 302, ""},
		{plain + `"/to-plain"}`, `{"stdoutRegexMustMatch": "hello", "skipStdoutRegexOnRedirect": false}`, 302, "does not match"},
		{www + `"/to-plain", "followRedirects": true}`, `{"stdoutRegexMustMatch": "hello", "skipStdoutRegexOnRedirect": true, "maxHttpStatus": 299}`, 200, ""},
		{www + `"/to-old", "followRedirects": true, "tlsMode": "insecure"}`, hello, 200, ""},
		{www + `"/to-old", "followRedirects": true}`, hello, 0, "not old.shop.test"},
		{www + `"/to-other", "followRedirects": true}`, good, 302, "the status is 302 to https://login.example, outside of the environment, which was not followed, and should be from 200 to 299"},
		{www + `"/to-other", "followRedirects": true}`, `{"minHttpStatus": 300, "maxHttpStatus": 399}`, 302, ""},
		{www + `"/to-port", "followRedirects": true}`, good, 302, "to http://plain.shop.test:8080, outside"},
		{www + `"/loop", "followRedirects": true, "maxRedirects": 2}`, good, 302, "there are more redirects than maxRedirects allows"},
		{www + `"/loop", "followRedirects": true, "maxRedirects": 2}`, `{"allowNonZeroExitStatus": true, "stderrRegexMustNotMatch": "TLS|refused"}`, 302, ""},
		{www + `"/loop", "followRedirects": true, "maxRedirects": 0}`, good, 302, "more redirects"},
		{www + `"/hop1", "followRedirects": true, "maxRedirects": 2}`, hello, 200, ""},
		{www + `"/hop1", "followRedirects": true, "maxRedirects": 1}`, hello, 302, "more redirects"},
		{www + `"/to-nonsense"}`, `{"minHttpStatus": 302, "maxHttpStatus": 302}`, 302, ""},
		{www + `"/to-nonsense", "followRedirects": true}`, good, 302, "the target of the redirect is not a URL"},
		{www + `"/to-nonsense", "followRedirects": true}`, `{"allowNonZeroExitStatus": true, "stderrRegexMustNotMatch": "TLS|refused"}`, 302, ""},
		{www + `"/to-nowhere", "followRedirects": true}`, `{"minHttpStatus": 302, "maxHttpStatus": 302}`, 302, ""},

		// No response, half of one, too much of one.
		{plain + `"/reset"}`, good, 0, "the connection was closed before the response was complete"},
		{plain + `"/reset"}`, `{"allowNonZeroExitStatus": true}`, 0, ""},
		{plain + `"/reset"}`, `{"allowNonZeroExitStatus": true, "maxHttpStatus": 299}`, 0, ""},
		{plain + `"/reset"}`, `{"allowNonZeroExitStatus": true, "minHttpStatus": 200}`, 0, "there is no response, which counts as status 0, and should be at least 200"},
		{plain + `"/reset"}`, `{"allowNonZeroExitStatus": true, "stderrRegexMustNotMatch": "^the connection was closed"}`, 0, `matches "^the connection was closed"`},
		{plain + `"/half"}`, hello, 200, "the response broke off: the connection was closed before the response was complete"},
		{plain + `"/half"}`, `{"allowNonZeroExitStatus": true, "stdoutRegexMustMatch": "^hello$"}`, 200, ""},
		{plain + `"/huge"}`, `{"stdoutRegexMustMatch": "^a+$"}`, 200, ""},
		{plain + `"/huge"}`, `{"stdoutRegexMustMatch": "the end"}`, 200, "the body (4194304 bytes) does not match"},
		{plain + `"/endless"}`, `{"stdoutRegexMustMatch": "^a+$"}`, 200, ""},
	}
	for _, test := range tests {
		t.Run(test.request+test.constraints, func(t *testing.T) {
			got := door.one(t, test.request, test.constraints)
			if got.Status != test.status || got.OK != (test.problem == "") || !strings.Contains(got.Problem, test.problem) || got.OK != (got.Problem == "") {
				t.Errorf("got %+v\nwant status %d, %s", got, test.status, test.problem)
			}
			if strings.Contains(fmt.Sprint(got), "t0p") {
				t.Errorf("it shows the content of a redirect: %+v", got)
			}
			for _, address := range door.dialed {
				if !strings.HasPrefix(address, "node-a.hosting.test:") {
					t.Errorf("it connected to %s", address)
				}
			}
		})
	}
}

// TestHost tests that every request to the node has the name of the virtual host
// in Host and in SNI.
func TestHost(t *testing.T) {
	door := newFrontDoor(t, []string{"www.shop.test"}, site)
	if got := door.one(t, `{"virtualHost": "www.shop.test", "path": "/to-plain?a=b%20c", "followRedirects": true, "method": "POST"}`, `[]`); !got.OK {
		t.Fatalf("%+v", got)
	}
	want := "www.shop.test: POST www.shop.test /to-plain?a=b%20c\n-: GET Plain.shop.test:80 /ok"
	if got := strings.Join(door.seen, "\n"); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// TestRetries: services may need some time to start.
func TestRetries(t *testing.T) {
	var asked atomic.Int32
	ready := func(after int32) http.HandlerFunc {
		asked.Store(0)
		return func(w http.ResponseWriter, r *http.Request) {
			if asked.Add(1) < after {
				http.Error(w, "starting", http.StatusBadGateway)
			}
		}
	}
	tests := []struct {
		reason, method string
		tries          int
		after, asked   int32
		ok             bool
	}{
		{"it starts", "GET", 5, 3, 3, true},
		{"not in time", "GET", 3, 9, 3, false},
		{"a request that does something is not repeated", "POST", 3, 2, 1, false},
	}
	for _, test := range tests {
		door := newFrontDoor(t, nil, ready(test.after))
		door.options.Tries = test.tries
		got := door.one(t, `{"method": "`+test.method+`"}`, `{"maxHttpStatus": 299}`)
		if got.OK != test.ok || asked.Load() != test.asked {
			t.Errorf("%s: asked %d times: %+v", test.reason, asked.Load(), got)
		}
	}
}

// TestTimeout uses a clock that advances only when all goroutines wait for it, and a
// node that answers with this much.
func TestTimeout(t *testing.T) {
	for _, test := range []struct {
		reason, answer string
		status, asked  int
		problem        string
	}{
		{"no answer", "", 0, 1, "timed out"},
		{"half an answer", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello", 200, 1, "the response broke off: timed out: no complete response within timeoutSeconds"},
		// The pauses end with the time of the check, and the error is that of the
		// last answer, not that the time is over.
		{"there is no time for a second try", "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", 502, 1, "the status is 502"},
	} {
		t.Run(test.reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				door := &frontDoor{options: verify.Options{Tries: 99, Pause: time.Hour, Dial: func(context.Context, string, string) (net.Conn, error) {
					asked++
					client, server := net.Pipe()
					go func() {
						defer server.Close()
						request := bufio.NewReader(server)
						_, _ = http.ReadRequest(request)
						_, _ = io.WriteString(server, test.answer)
						_, _ = request.ReadByte() // until the client is gone
					}()
					return client, nil
				}}}
				got := door.one(t, `{"timeoutSeconds": 1}`, `{"maxHttpStatus": 299, "minHttpStatus": 200}`)
				if got.OK || got.Status != test.status || asked != test.asked || !strings.Contains(got.Problem, test.problem) {
					t.Errorf("asked %d times: %+v", asked, got)
				}
			})
		})
	}
}

// TestAll: the checks of an environment run at the same time, up to the limit, and
// their results are sorted.
func TestConcurrentChecks(t *testing.T) {
	const limit = 3
	var now, most atomic.Int32
	full := make(chan struct{})
	door := newFrontDoor(t, nil, func(w http.ResponseWriter, r *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		if n == limit {
			// No request gets an answer before all three have arrived.
			select {
			case <-full:
			default:
				close(full)
			}
		}
		<-full
	})
	door.options.Concurrency = limit
	var list []string
	for i := 8; i >= 0; i-- {
		list = append(list, fmt.Sprintf(`{"name": "c%d", "request": {"path": "/%d"}}`, i, i))
	}
	v := verify.New(document(t, `{"enforce": false, "checks": [`+strings.Join(list, ",")+`]}`), door.options)
	got := v.Verify(t.Context(), nodeA, "shop", deploy.Asking{})
	if !got.OK() || got.Enforce || len(got.Checks) != 9 || most.Load() != limit {
		t.Errorf("%d at once, %+v", most.Load(), got)
	}
	for i, c := range got.Checks {
		if c.Name != fmt.Sprintf("c%d", i) || c.URL != fmt.Sprintf("http://plain.shop.test/%d", i) || c.VirtualHost != "plain.shop.test" {
			t.Errorf("%d: %+v", i, c)
		}
	}
	if got := v.Verify(t.Context(), nodeA, "missing", deploy.Asking{}); len(got.Checks) != 0 || !got.OK() || got.Enforce {
		t.Errorf("an environment without checks: %+v", got)
	}
	if got := v.Verify(t.Context(), deploy.Node{Name: "node-b"}, "shop", deploy.Asking{}); got.OK() || got.Checks[0].Problem != "node node-b has no public name" {
		t.Errorf("a node without a name: %+v", got)
	}
}

// TestInterrupted: a check that is interrupted fails, even if it allows failures.
func TestInterrupted(t *testing.T) {
	arrived := make(chan struct{})
	door := newFrontDoor(t, nil, func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})
	v := verify.New(document(t, verification(`{}`, `{"allowNonZeroExitStatus": true}`)), door.options)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	if got := v.Verify(ctx, nodeA, "shop", deploy.Asking{}); got.OK() || !strings.Contains(got.Checks[0].Problem, "interrupted") {
		t.Errorf("%+v", got)
	}
	if got := v.Verify(ctx, nodeA, "shop", deploy.Asking{}); got.OK() {
		t.Errorf("%+v", got)
	}
}

// TestNoHTTP: the server that answers is not a web server.
func TestNoHTTP(t *testing.T) {
	door := newFrontDoor(t, nil, site)
	for _, answer := range []string{"SSH-2.0-OpenSSH_9.9\r\n", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", 1<<20),
		"<p> t0p \"secret\"</p>\r\n\r\n", "HTTP/1.1 200 OK\r\nt0p-secret\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: t0p \\\" t0p\r\n\r\n"} {
		door.options.Dial = func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			go func() {
				defer server.Close()
				_, _ = http.ReadRequest(bufio.NewReader(server))
				_, _ = io.WriteString(server, answer)
			}()
			return client, nil
		}
		if got := door.one(t, `{}`, `[]`); got.OK || got.Status != 0 || got.Problem == "" || strings.Contains(got.Problem, "t0p") {
			t.Errorf("%.20s: %+v", answer, got)
		}
	}
	door.options.Dial = func(_ context.Context, _, address string) (net.Conn, error) {
		return nil, &net.DNSError{Err: "no such host", Name: address, IsNotFound: true}
	}
	if got := door.one(t, `{}`, `[]`); got.OK || !strings.Contains(got.Problem, "no such host") {
		t.Errorf("%+v", got)
	}
}

// A check over TLS relies on a certificate, unless it accepts any certificate.
func TestCertificates(t *testing.T) {
	door := newFrontDoor(t, nil, site)
	v := verify.New(document(t, `{"checks": [
		{"request": {"virtualHost": "www.shop.test", "path": "/"}}, {"request": {"virtualHost": "www.shop.test", "path": "/again"}},
		{"request": {"virtualHost": "old.shop.test", "path": "/", "tlsMode": "insecure"}},
		{"request": {"virtualHost": "plain.shop.test", "path": "/"}}]}`), door.options)
	if got := v.Certificates(nodeA, "shop"); !slices.Equal(got, []string{"www.shop.test"}) {
		t.Errorf("%q", got)
	}
	if got := v.Certificates(nodeA, "missing"); len(got) != 0 {
		t.Errorf("of none: %q", got)
	}
}

// A check that cannot be read fails, and does not stop the other checks.
func TestUnreadable(t *testing.T) {
	door := newFrontDoor(t, nil, site)
	v := verify.New(document(t, `{"checks": [
		{"name": "good", "request": {"virtualHost": "plain.shop.test", "path": "/"}},
		{"name": "odd", "request": {"virtualHost": "plain.shop.test", "tlsMode": "lax"}}]}`), door.options)
	got := v.Verify(t.Context(), nodeA, "shop", deploy.Asking{})
	if len(got.Checks) != 2 || !got.Enforce || got.OK() {
		t.Fatalf("%+v", got)
	}
	if c := got.Checks[0]; c.Name != "good" || !c.OK {
		t.Errorf("%+v", c)
	}
	if c := got.Checks[1]; c.Name != "odd" || c.OK || !strings.Contains(c.Problem, `tlsMode is "lax", neither strict nor insecure; correct it in the project`) {
		t.Errorf("%+v", c)
	}
}

// TestOtherHost: a check of a host that is not the environment's makes no request,
// because the machine that deploys may have rights there.
func TestOtherHost(t *testing.T) {
	door := newFrontDoor(t, []string{"blog.other.test"}, site)
	for _, host := range []string{"Unknown.test", "blog.other.test", "node-a.hosting.test"} {
		v := verify.New(document(t, verification(`{"virtualHost": "`+host+`", "path": "/ok", "method": "POST"}`, `{}`)), door.options)
		got := v.Verify(t.Context(), nodeA, "shop", deploy.Asking{}).Checks
		if len(got) != 1 || got[0].OK || len(door.seen) > 0 {
			t.Errorf("%s: %+v, asked %q", host, got, door.seen)
		}
	}
}

// TestSlowExpression: an expression that takes long for a large body ends in time.
func TestSlowExpression(t *testing.T) {
	t.Parallel()
	door := newFrontDoor(t, nil, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("a", checks.MaxBody))
	})
	begun := time.Now()
	got := door.one(t, `{"virtualHost": "plain.shop.test"}`, `{"stdoutRegexMustMatch": "(a?){500}b"}`)
	if got.OK || !strings.Contains(got.Problem, "the time ran out") || time.Since(begun) > 40*time.Second {
		t.Errorf("after %s: %+v", time.Since(begun), got)
	}
}

// TestTimeOfChecks bounds the time of all checks of an environment together.
func TestTimeOfChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		check := `{"request": {"virtualHost": "plain.shop.test", "timeoutSeconds": 600}}`
		v := verify.New(document(t, `{"checks": [`+strings.Repeat(check+", ", 19)+check+`]}`), verify.Options{
			Dial: func(context.Context, string, string) (net.Conn, error) {
				conn, silent := net.Pipe()
				go func() { _, _ = io.Copy(io.Discard, silent); silent.Close() }()
				return conn, nil
			},
		})
		begun := time.Now()
		got := v.Verify(t.Context(), nodeA, "shop", deploy.Asking{}).Checks
		if took := time.Since(begun); took > 6*time.Minute || len(got) != 20 {
			t.Errorf("%d checks took %s", len(got), took)
		}
	})
}

// A check of a system fails if the front door is closed. For an environment, which is
// behind it, that shows nothing.
func TestSystem(t *testing.T) {
	d, err := plan.DecodeDocument([]byte(`{"formatVersion": 1, "nodes": {"node-a": {}}, "nodeConnections": {"node-a": {"checks": [{"name": "status", "request": {"virtualHost": "status.hosting.test"}}]}},
		"environments": {"shop": {"enable": true, "node": "node-a", "hostenv": {"hostname": "shop.test"}, "virtualHosts": {"shop.test": {}}, "deploymentVerification": {"checks": [{}]}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	v := verify.New(d, verify.Options{Tries: 1, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("connection refused") }})
	for profile, unknown := range map[string]bool{"system": false, "shop": true} {
		if has, enforced := v.Has(nodeA, profile); !has || !enforced {
			t.Errorf("%s has checks: %v, enforced: %v", profile, has, enforced)
		}
		got := v.Verify(t.Context(), nodeA, profile, deploy.Asking{})
		if len(got.Checks) != 1 || got.Checks[0].OK || got.Checks[0].Unknown != unknown || !strings.Contains(got.Checks[0].Problem, "connection refused") {
			t.Errorf("%s: %+v", profile, got)
		}
	}
	if has, _ := v.Has(deploy.Node{Name: "node-b"}, "system"); has {
		t.Error("another node has its checks")
	}
}

// A request that may change data is made once, after all others have passed, and not
// before an activation. Checks that passed are not made again.
func TestAgain(t *testing.T) {
	ready := false
	door := newFrontDoor(t, nil, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/order" || r.URL.Path == "/slow" && !ready {
			http.Error(w, "no", http.StatusBadGateway)
		}
	})
	door.options.Tries = 1
	const good = `"constraints": {"maxHttpStatus": 299}`
	v := verify.New(document(t, `{"checks": [
		{"name": "a", "request": {"virtualHost": "plain.shop.test", "path": "/order", "method": "POST"}, `+good+`},
		{"name": "b", "request": {"virtualHost": "plain.shop.test", "path": "/slow"}, `+good+`},
		{"name": "c", "request": {"virtualHost": "plain.shop.test", "path": "/fine"}, `+good+`}]}`), door.options)
	asked := func() string {
		var paths []string
		for _, text := range door.seen {
			paths = append(paths, text[strings.LastIndex(text, "/"):])
		}
		door.seen = nil
		slices.Sort(paths)
		return strings.Join(paths, " ")
	}
	before := v.Verify(t.Context(), nodeA, "shop", deploy.Asking{OnlySafe: true})
	if got := asked(); got != "/fine /slow" || len(before.Checks) != 2 {
		t.Errorf("before: asked %s, %+v", got, before)
	}
	first := v.Verify(t.Context(), nodeA, "shop", deploy.Asking{})
	if got := asked(); got != "/fine /slow" || !first.Checks[0].Unknown || first.Checks[0].Method != "POST" {
		t.Errorf("first: asked %s, %+v", got, first)
	}
	ready = true
	second := v.Verify(t.Context(), nodeA, "shop", deploy.Asking{Again: first.Checks})
	if got := asked(); got != "/order /slow" || second.Checks[0].OK || second.Checks[0].Unknown || !second.Checks[1].OK || !second.Checks[2].OK {
		t.Errorf("second: asked %s, %+v", got, second)
	}
	third := v.Verify(t.Context(), nodeA, "shop", deploy.Asking{Again: second.Checks})
	if got := asked(); got != "" || !slices.Equal(second.Checks, third.Checks) {
		t.Errorf("third: asked %s, %+v", got, third)
	}
}
