package resolver

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
)

// maxHops is how many redirects Let's Encrypt follows.
const maxHops = 10

// Network is [Live] over the network.
type Network struct {
	// DialAddr maps where to connect to, as in [Config].
	DialAddr func(addr string) string
	// Timeout is for each connection and each request, 0 for 10 s.
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
	return (&net.Dialer{Timeout: n.timeout()}).DialContext(ctx, "tcp", to)
}

// Dial connects to port 80 and says how that ended.
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

// Probe asks a host for a token that nobody has, and follows redirects as
// Let's Encrypt does: 301, 302, 307 and 308, at most 10, http to port 80 and
// https to port 443 whatever the certificate, to names and to addresses that are
// not reserved. What counts is who answers in the end, not what: the node does not know the
// token either.
func (n *Network) Probe(ctx context.Context, target Target) *dnsgate.ProbeFacts {
	facts := &dnsgate.ProbeFacts{}
	at := &url.URL{Scheme: "http", Host: target.Host, Path: "/.well-known/acme-challenge/" + rand.Text()}
	for {
		answer, addr, err := n.get(ctx, at, target.addresses(at.Hostname())) //nolint:bodyclose // get has closed it
		if err != nil {
			facts.Error = err.Error()
			return facts
		}
		facts.Status, facts.Node = answer.StatusCode, addr.String()
		if !slices.Contains([]int{301, 302, 307, 308}, answer.StatusCode) {
			facts.Reached = slices.Contains(target.Nodes, addr)
			return facts
		}
		if len(facts.Hops) == maxHops {
			facts.Error = fmt.Sprintf("more than %d redirects", maxHops)
			return facts
		}
		next, err := answer.Location()
		if err != nil {
			facts.Error = "a redirect without a place to go to"
			return facts
		}
		facts.Hops = append(facts.Hops, dnsgate.Hop{Status: answer.StatusCode, URL: next.String(), Address: addr.String()})
		if err := followable(next); err != nil {
			facts.Error = err.Error()
			return facts
		}
		at = next
	}
}

// addresses are those of a name, or the address that stands in a name's place.
func (t Target) addresses(host string) []netip.Addr {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}
	}
	return t.Lookup(host)
}

// followable reports why Let's Encrypt would not follow a redirect.
func followable(to *url.URL) error {
	port := map[string]string{"http": "80", "https": "443"}[to.Scheme]
	switch {
	case port == "":
		return fmt.Errorf("redirected to the scheme %q, and only http and https are followed", to.Scheme)
	case to.Port() != "" && to.Port() != "80" && to.Port() != "443":
		return fmt.Errorf("redirected to port %s, and only 80 and 443 are followed", to.Port())
	}
	if addr, err := netip.ParseAddr(to.Hostname()); err == nil && (addr.Zone() != "" || dnsgate.IsReserved(addr)) {
		return fmt.Errorf("redirected to the address %s, which is reserved", to.Hostname())
	}
	return nil
}

// get makes one request, at the first address that takes the connection: IPv6
// before IPv4, as Let's Encrypt does.
func (n *Network) get(ctx context.Context, at *url.URL, addrs []netip.Addr) (*http.Response, netip.Addr, error) {
	if len(addrs) == 0 {
		return nil, netip.Addr{}, fmt.Errorf("%s has no address", at.Hostname())
	}
	addrs = slices.Clone(addrs)
	slices.SortStableFunc(addrs, func(a, b netip.Addr) int { return b.BitLen() - a.BitLen() })
	tried := addrs[:1:1] // one of each family
	if v4 := slices.IndexFunc(addrs, netip.Addr.Is4); v4 > 0 {
		tried = append(tried, addrs[v4])
	}
	port := at.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[at.Scheme]
	}
	var answered netip.Addr
	transport := &http.Transport{
		DisableKeepAlives: true,
		// The certificate is what the name does not have yet.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, _, _ string) (conn net.Conn, err error) {
			for _, addr := range tried {
				if conn, err = n.dial(ctx, addr, port); err == nil {
					answered = addr
					return conn, nil
				}
			}
			return nil, err
		},
	}
	ctx, cancel := context.WithTimeout(ctx, 2*n.timeout())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, netip.Addr{}, err
	}
	request.Header.Set("User-Agent", "hostenv-provider (does this host forward ACME challenges?)")
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, netip.Addr{}, fmt.Errorf("get %s://%s: %w", at.Scheme, at.Host, err)
	}
	response.Body.Close()
	return response, answered, nil
}
