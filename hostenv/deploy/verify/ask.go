package verify

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan/checks"
)

// ask makes one request to a node, and follows its redirects if q allows it.
func (v *Verifier) ask(ctx context.Context, node string, q checks.Request, hosts map[string]bool) answer {
	transport := &http.Transport{
		// Proxy is nil, so that HTTP_PROXY has no effect.
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			// Only the connection goes to the node. Host, SNI and the name in the
			// certificate still come from the URL.
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return v.options.Dial(ctx, network, net.JoinHostPort(node, port))
		},
		TLSClientConfig: &tls.Config{
			RootCAs:            v.options.Roots,
			InsecureSkipVerify: q.Insecure, // the project sets tlsMode = "insecure"
		},
		DisableKeepAlives:      true,
		DisableCompression:     true, // checks match the body as the server sends it, as with curl
		MaxResponseHeaderBytes: 256 << 10,
	}
	var a answer
	connected := false
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected = true }}
	client := &http.Client{
		Transport: roundTripper(func(request *http.Request) (*http.Response, error) {
			a.status, connected = 0, false // a redirect that fails must not keep the status before it
			response, err := transport.RoundTrip(request)
			if err != nil {
				return nil, err
			}
			a.status = response.StatusCode
			// The client refuses a response with a bad Location, even if it does
			// not follow redirects.
			if _, err := request.URL.Parse(response.Header.Get("Location")); err != nil {
				if q.FollowRedirects && isRedirect(response.StatusCode) {
					_ = response.Body.Close() // its body is not read
					return nil, errLocation
				}
				response.Header.Del("Location")
			}
			return response, nil
		}),
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			switch {
			case !q.FollowRedirects:
				return http.ErrUseLastResponse
			case !isOwn(next.URL, hosts):
				a.elsewhere = next.URL
				return http.ErrUseLastResponse
			case len(via) > q.MaxRedirects:
				return errRedirects
			}
			return nil
		},
	}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), q.Method, q.URL(), nil)
	if err != nil {
		a.failure = err.Error()
		return a
	}
	request.Header.Set("User-Agent", "hostenv-provider")
	response, err := client.Do(request)
	if err != nil {
		a.failure, a.unreached, a.untrusted = failure(err), !connected, errors.As(err, new(*tls.CertificateVerificationError))
		return a
	}
	defer func() { _ = response.Body.Close() }()
	a.body, err = io.ReadAll(io.LimitReader(response.Body, checks.MaxBody))
	if err != nil {
		a.failure = "the response broke off: " + failure(err)
	}
	return a
}

var (
	errRedirects = errors.New("there are more redirects than maxRedirects allows")
	errLocation  = errors.New("the target of the redirect is not a URL")
)

type roundTripper func(*http.Request) (*http.Response, error)

func (r roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return r(request) }

func isRedirect(status int) bool { return status >= 300 && status < 400 }

// isOwn reports whether a redirect stays with the environment: on one of its hosts,
// and on a port where the front door listens.
func isOwn(u *url.URL, hosts map[string]bool) bool {
	port := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	return port != "" && (u.Port() == "" || u.Port() == port) && u.User == nil &&
		hosts[strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))]
}

// quoted matches the text that net/http quotes if it cannot read it.
var quoted = regexp.MustCompile(`:? "(?:[^"\\]|\\.)*"`)

// failure describes why a request failed, without its URL and without the response:
// a header or a body may hold a secret.
func failure(err error) string {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, context.Canceled):
		return interrupted
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timed out: no complete response within timeoutSeconds"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed before the response was complete"
	}
	text := err.Error()
	if strings.Contains(text, "malformed") || strings.Contains(text, "transport connection broken") {
		text = quoted.ReplaceAllString(text, "")
	}
	return text
}

const interrupted = "interrupted before there was an answer"

// wait waits for pause. It returns false, perhaps at once, if ctx ends before that.
func wait(ctx context.Context, pause time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= pause {
		return false
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
