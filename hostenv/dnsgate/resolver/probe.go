package resolver

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/internal/public"
)

// Network is [Live] over the network.
type Network struct {
	// DialAddr maps the addresses to connect to, and Private are networks that may
	// be dialled, as in [Config].
	DialAddr func(addr string) string
	Private  []netip.Prefix
	// Timeout is the limit for each connection; a request may take twice as long, and a
	// probe with its redirects six times. 0 means 10 s.
	Timeout time.Duration
}

var _ Live = (*Network)(nil)

func (n *Network) timeout() time.Duration {
	if n.Timeout <= 0 {
		return 10 * time.Second
	}
	return n.Timeout
}

func (n *Network) dial(ctx context.Context, addr netip.Addr, port string) (net.Conn, error) {
	to := net.JoinHostPort(addr.String(), port)
	if n.DialAddr != nil {
		to = n.DialAddr(to)
	}
	dialer := n.private().Dialer()
	dialer.Timeout = n.timeout()
	return dialer.DialContext(ctx, "tcp", to)
}

func (n *Network) private() public.Networks { return n.Private }

// Dial connects to port 80 and reports the outcome.
func (n *Network) Dial(ctx context.Context, addr netip.Addr) dnsgate.Dial {
	conn, err := n.dial(ctx, addr, "80")
	if err == nil {
		conn.Close()
	}
	return dialOutcome(err)
}

func dialOutcome(err error) dnsgate.Dial {
	var timeout net.Error
	switch {
	case err == nil:
		return dnsgate.DialOpen
	case errors.Is(err, syscall.ECONNREFUSED):
		return dnsgate.DialRefused
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		return dnsgate.DialUnreachable
	case errors.Is(err, context.Canceled):
		return dnsgate.DialError
	case errors.As(err, &timeout) && timeout.Timeout():
		return dnsgate.DialTimeout
	}
	return dnsgate.DialError
}

// Probe asks a host, at one of its addresses, for the challenge's path, and follows
// redirects as Let's Encrypt does; see [tour]. It connects only to public addresses and
// to those of Private.
func (n *Network) Probe(ctx context.Context, target Target) *dnsgate.ProbeFacts {
	ctx, cancel := context.WithTimeout(ctx, 6*n.timeout())
	defer cancel()
	w := &tour{network: n, target: target, pages: map[visit]*page{}}
	return w.begin(ctx)
}

// A page is one response, or the reason why there is none.
type page struct {
	status              int
	location            string
	contentType, server string
	digest              string
	text                string // the beginning of the body, if it is short
	// dial is the outcome of the connection; only after dnsgate.DialOpen there may be a
	// response.
	dial dnsgate.Dial
	err  error
}

// maxBody is the number of bytes of a body that get reads.
const maxBody = 64 << 10

// maxProof is the length of the longest token: two names.
const maxProof = 600

// get sends one request to an address.
func (n *Network) get(ctx context.Context, at *url.URL, addr netip.Addr) *page {
	if err := n.private().Check(addr); err != nil {
		return &page{dial: dnsgate.DialError, err: err}
	}
	p := &page{dial: dnsgate.DialError}
	transport := &http.Transport{
		DisableKeepAlives: true,
		// The name does not have a certificate yet.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := n.dial(ctx, addr, strconv.Itoa(portOf(at)))
			p.dial = dialOutcome(err)
			return conn, err
		},
	}
	ctx, cancel := context.WithTimeout(ctx, 2*n.timeout())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		p.err = err
		return p
	}
	request.Header.Set("User-Agent", "hostenv-provider (does this host forward ACME challenges?)")
	request.Header.Set("Accept", "*/*")
	request.Header.Set("Cache-Control", "no-cache")
	response, err := transport.RoundTrip(request)
	if err != nil {
		p.err = fmt.Errorf("get %s://%s: %w", at.Scheme, at.Host, err)
		return p
	}
	defer response.Body.Close()
	sum := sha256.New()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		p.err = fmt.Errorf("get %s://%s: %w", at.Scheme, at.Host, err)
		return p
	}
	p.status, p.location = response.StatusCode, response.Header.Get("Location")
	p.contentType, p.server = recordable(response.Header.Get("Content-Type")), recordable(response.Header.Get("Server"))
	sum.Write(body)
	if len(body) <= maxProof {
		p.text = string(body)
	}
	p.digest = "sha256:" + hex.EncodeToString(sum.Sum(nil))
	return p
}
