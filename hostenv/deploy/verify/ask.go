package verify

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan/checks"
)

// ask makes one request at a node, with the redirects that it leads to.
func (v *Verifier) ask(ctx context.Context, node string, q checks.Request, hosts map[string]bool) answer {
	transport := &http.Transport{
		// Proxy is nil: HTTP_PROXY does not count.
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			// Host, SNI and the name in the certificate come from the URL.
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return v.options.Dial(ctx, network, net.JoinHostPort(node, port))
		},
		TLSClientConfig: &tls.Config{
			RootCAs:            v.options.Roots,
			InsecureSkipVerify: q.Insecure, // the project says so: tlsMode = "insecure"
		},
		DisableKeepAlives:      true,
		DisableCompression:     true, // the body as it comes, like curl's
		MaxResponseHeaderBytes: 256 << 10,
	}
	var a answer
	client := &http.Client{
		Transport: roundTripper(func(request *http.Request) (*http.Response, error) {
			a.status = 0 // of the last response, if it comes
			response, err := transport.RoundTrip(request)
			if err != nil {
				return nil, err
			}
			a.status = response.StatusCode
			// The client would refuse the response, whether or not it is to follow.
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
	request, err := http.NewRequestWithContext(ctx, q.Method, q.URL(), nil)
	if err != nil {
		a.failure = err.Error()
		return a
	}
	request.Header.Set("User-Agent", "hostenv-provider")
	response, err := client.Do(request)
	if err != nil {
		a.failure = failure(err)
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
	errLocation  = errors.New("the redirect leads to what is no URL")
)

type roundTripper func(*http.Request) (*http.Response, error)

func (r roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return r(request) }

func isRedirect(status int) bool { return status >= 300 && status < 400 }

// isOwn reports whether a redirect stays with the environment, at the ports
// where the front door listens.
func isOwn(u *url.URL, hosts map[string]bool) bool {
	port := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	return port != "" && (u.Port() == "" || u.Port() == port) && u.User == nil &&
		hosts[strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))]
}

// quoted is how net/http shows what it could not read.
var quoted = regexp.MustCompile(`:? "(?:[^"\\]|\\.)*"`)

// failure is what is said of a request that failed, without its URL, and
// without what came: a header or a body may hold what is secret.
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

// wait waits, and reports false where ctx would be over by then.
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
