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
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/internal/public"
)

// maxHops is the number of redirects that Let's Encrypt follows.
const maxHops = 10

// Network is [Live] over the network.
type Network struct {
	// DialAddr maps the addresses to connect to, and Private are networks that may
	// be dialled, as in [Config].
	DialAddr func(addr string) string
	Private  []netip.Prefix
	// Timeout is the limit for each connection; a request may take twice as long. 0
	// means 10 s.
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

// Probe asks a host, at one of its addresses, for a token that no host has, and
// follows redirects as Let's Encrypt does: 301, 302, 307 and 308, at most 10, over
// http to port 80 and over https to port 443 with any certificate, to names and to
// addresses that are not reserved. It connects only to public addresses and to those
// of Private. The host that answers in the end decides, not its
// answer: the node does not have the token either.
func (n *Network) Probe(ctx context.Context, target Target) *dnsgate.ProbeFacts {
	facts := &dnsgate.ProbeFacts{}
	at := &url.URL{Scheme: "http", Host: target.Host, Path: "/.well-known/acme-challenge/" + target.Token}
	for {
		addrs, private := n.dialable(target.addresses(at.Hostname()))
		if private != nil {
			facts.Status, facts.Error = 0, recordable(private.Error())
			return facts
		}
		answer, addr, err := n.get(ctx, at, addrs)
		if err != nil {
			facts.Status, facts.Error = 0, recordable(err.Error())
			return facts
		}
		facts.Status, facts.Node = answer.status, addr.String()
		facts.ContentType, facts.Server = recordable(answer.header.Get("Content-Type")), recordable(answer.header.Get("Server"))
		facts.Body = answer.body
		if !slices.Contains([]int{301, 302, 307, 308}, answer.status) {
			facts.Reached = onlyNodes(addrs, target.Nodes, answer.dead6)
			return facts
		}
		if len(facts.Hops) == maxHops {
			facts.Error = fmt.Sprintf("more than %d redirects", maxHops)
			return facts
		}
		next, err := at.Parse(answer.header.Get("Location"))
		if err != nil || answer.header.Get("Location") == "" {
			facts.Error = "a redirect without a place to go to"
			return facts
		}
		facts.Hops = append(facts.Hops, dnsgate.Hop{Status: answer.status, URL: recordable(next.String()), Address: addr.String()})
		if err := followable(next); err != nil {
			facts.Error = recordable(err.Error())
			return facts
		}
		at = next
	}
}

// onlyNodes reports whether all addresses that Let's Encrypt may ask are the nodes':
// those of IPv6 if there are any and they are not dead, else those of IPv4.
func onlyNodes(addrs, nodes []netip.Addr, dead6 bool) bool {
	six := !dead6 && slices.ContainsFunc(addrs, netip.Addr.Is6)
	first := func(a netip.Addr) bool { return a.Is6() == six }
	return !slices.ContainsFunc(addrs, func(a netip.Addr) bool { return first(a) && !slices.Contains(nodes, a) })
}

// addresses returns the addresses of a host, which may be an address itself. For the
// probed host, also after a redirect to itself, it returns only the probed address:
// the others have probes of their own.
func (t Target) addresses(host string) []netip.Addr {
	if strings.EqualFold(host, t.Host) {
		return []netip.Addr{t.Address}
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}
	}
	return t.Lookup(host)
}

// dialable returns the addresses that may be dialled, as Let's Encrypt drops
// reserved ones, and the reason if none of them may.
func (n *Network) dialable(addrs []netip.Addr) ([]netip.Addr, error) {
	var refused error
	var kept []netip.Addr
	for _, addr := range addrs {
		if err := n.private().Check(addr); err == nil {
			kept = append(kept, addr)
		} else if refused == nil {
			refused = err
		}
	}
	if len(kept) > 0 {
		refused = nil
	}
	return kept, refused
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

// A page is one response, with a digest of its body.
type page struct {
	status int
	header http.Header
	body   string
	dead6  bool // the IPv6 address refused the connection or timed out
}

// maxBody is the number of bytes of a body that get reads.
const maxBody = 64 << 10

// get sends one request to the first address that accepts the connection, IPv6
// before IPv4, as Let's Encrypt does.
func (n *Network) get(ctx context.Context, at *url.URL, addrs []netip.Addr) (page, netip.Addr, error) {
	if len(addrs) == 0 {
		return page{}, netip.Addr{}, fmt.Errorf("%s has no address", at.Hostname())
	}
	addrs = slices.Clone(addrs)
	slices.SortStableFunc(addrs, func(a, b netip.Addr) int { return b.BitLen() - a.BitLen() })
	tried := addrs[:1:1] // one address of each family
	if v4 := slices.IndexFunc(addrs, netip.Addr.Is4); v4 > 0 {
		tried = append(tried, addrs[v4])
	}
	port := at.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[at.Scheme]
	}
	var answered netip.Addr
	dead6 := false
	transport := &http.Transport{
		DisableKeepAlives: true,
		// The name does not have a certificate yet.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, _, _ string) (conn net.Conn, err error) {
			for _, addr := range tried {
				if conn, err = n.dial(ctx, addr, port); err == nil {
					answered = addr
					return conn, nil
				}
				how := dialOutcome(err)
				dead6 = dead6 || addr.Is6() && (how == dnsgate.DialRefused || how == dnsgate.DialTimeout)
			}
			return nil, err
		},
	}
	ctx, cancel := context.WithTimeout(ctx, 2*n.timeout())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return page{}, netip.Addr{}, err
	}
	request.Header.Set("User-Agent", "hostenv-provider (does this host forward ACME challenges?)")
	response, err := transport.RoundTrip(request)
	if err != nil {
		return page{}, netip.Addr{}, fmt.Errorf("get %s://%s: %w", at.Scheme, at.Host, err)
	}
	defer response.Body.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, io.LimitReader(response.Body, maxBody)); err != nil {
		return page{}, netip.Addr{}, fmt.Errorf("get %s://%s: %w", at.Scheme, at.Host, err)
	}
	return page{response.StatusCode, response.Header, "sha256:" + hex.EncodeToString(sum.Sum(nil)), dead6}, answered, nil
}
