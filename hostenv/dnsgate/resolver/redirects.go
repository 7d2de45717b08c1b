package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
)

const (
	// maxRequests is the number of requests that Let's Encrypt sends for a challenge. A
	// redirect costs one, and so does every connection to IPv6 that fails.
	maxRequests = 10
	// maxPath is the length of a redirect's path, in bytes.
	maxPath = 2000
	// maxPages limits the requests of one probe, and maxSteps its steps, if redirects and
	// addresses make many ways.
	maxPages, maxSteps = 64, 10_000
)

// A tour follows the ways that Let's Encrypt may take from one address of a host:
// redirects of status 301, 302, 307 and 308, over http and https to the ports 80 and 443,
// with any certificate, to names below a public top-level domain and to addresses that
// are not reserved. At each host it takes an IPv6 address by chance, one of IPv4 if there
// is none or the connection fails, and looks the host up anew at each redirect. So the
// tour takes every way, and the worst one counts: the node is reached if it answers the
// challenge's path at the end of all.
type tour struct {
	network *Network
	target  Target
	pages   map[visit]*page
	steps   int
}

// A visit is a request: the same one has the same page.
type visit struct {
	url  string
	addr netip.Addr
}

// A trail is the way to a request.
type trail struct {
	urls     []string
	hops     []dnsgate.Hop
	requests int
}

func (w *tour) begin(ctx context.Context) *dnsgate.ProbeFacts {
	at := &url.URL{Scheme: "http", Host: w.target.Host, Path: dnsgate.ChallengePath + dnsgate.Token}
	return w.request(ctx, at, w.target.Address, nil, trail{requests: w.target.Spent})
}

// request sends a request to an address. The IPv4 addresses in fallback are tried if it
// is one of IPv6 and the connection fails.
func (w *tour) request(ctx context.Context, at *url.URL, addr netip.Addr, fallback []netip.Addr, t trail) *dnsgate.ProbeFacts {
	stopped := func(err error) *dnsgate.ProbeFacts {
		return &dnsgate.ProbeFacts{Hops: t.hops, Node: addr.String(), Error: recordable(err.Error())}
	}
	if t.requests++; t.requests > maxRequests {
		return stopped(fmt.Errorf("more than %d requests: each redirect is one, and each connection to a dead IPv6 address", maxRequests))
	}
	t.urls = append(slices.Clip(t.urls), at.String())
	p := w.page(ctx, at, addr)
	switch {
	case p == nil:
		return stopped(errors.New("the redirects and their addresses make too many ways"))
	case p.dial == dnsgate.DialOpen && p.err == nil:
		return w.answered(ctx, at, addr, p, t)
	case p.dial == dnsgate.DialOpen:
		return stopped(p.err)
	case p.dial == dnsgate.DialUnreachable && addr.Is6():
		// Whether it is dead cannot be seen from here. The node answers there as it does
		// over IPv4.
		if len(fallback) == 0 || !slices.Contains(w.target.Nodes, addr) {
			facts := stopped(p.err)
			facts.NoRoute = true
			return facts
		}
		t.requests--
	case len(fallback) == 0:
		return stopped(p.err)
	}
	return w.worst(ctx, at, fallback, nil, t)
}

// worst returns the worst way that begins at one of several addresses.
func (w *tour) worst(ctx context.Context, at *url.URL, addrs, fallback []netip.Addr, t trail) (worst *dnsgate.ProbeFacts) {
	for _, addr := range addrs[:min(len(addrs), maxProbes)] {
		facts := w.request(ctx, at, addr, fallback, t)
		if worst == nil || w.worth(facts) < w.worth(worst) {
			worst = facts
		}
		if w.worth(worst) == 0 {
			break
		}
	}
	return worst
}

// worth is how much a way proves: 2 for a node's token, 1 for a node's address.
func (w *tour) worth(facts *dnsgate.ProbeFacts) int {
	switch {
	case slices.Contains(w.target.Names, facts.Proof):
		return 2
	case facts.Reached:
		return 1
	}
	return 0
}

func (w *tour) page(ctx context.Context, at *url.URL, addr netip.Addr) *page {
	v := visit{at.String(), addr}
	if w.steps++; w.steps > maxSteps {
		return nil
	}
	if w.pages[v] == nil && len(w.pages) < maxPages {
		w.pages[v] = w.network.get(ctx, at, addr)
	}
	return w.pages[v]
}

// answered goes on from a response.
func (w *tour) answered(ctx context.Context, at *url.URL, addr netip.Addr, p *page, t trail) *dnsgate.ProbeFacts {
	facts := &dnsgate.ProbeFacts{
		Hops: t.hops, Node: addr.String(), Status: p.status, ContentType: p.contentType, Server: p.server, Body: p.digest,
	}
	if !slices.Contains([]int{301, 302, 307, 308}, p.status) {
		facts.Proof = proofIn(p, w.target.Host)
		// 400 is what nginx answers to plain HTTP on port 443, before it looks at the path.
		facts.Reached = slices.Contains(w.target.Nodes, addr) && p.status != 400
		if facts.Reached && merged(at.Path) != dnsgate.ChallengePath+dnsgate.Token {
			facts.Reached, facts.Error = false, recordable("the redirect leads to "+at.Path+", which is not the challenge")
		}
		return facts
	}
	next, err := at.Parse(p.location)
	if err != nil || p.location == "" {
		facts.Error = "a redirect without a place to go to"
		return facts
	}
	next.Host = strings.ToLower(next.Host)
	t.hops = append(slices.Clip(t.hops), dnsgate.Hop{Status: p.status, URL: recordable(next.String()), Address: addr.String()})
	facts.Hops = t.hops
	err = followable(next)
	if err == nil && slices.Contains(t.urls, next.String()) {
		err = errors.New("the redirects lead in a circle")
	}
	var addrs []netip.Addr
	if err == nil {
		addrs, err = w.addresses(next.Hostname())
	}
	if err != nil {
		facts.Error = recordable(err.Error())
		return facts
	}
	v4, v6 := families(addrs)
	if len(v6) == 0 {
		return w.worst(ctx, next, v4, nil, t)
	}
	return w.worst(ctx, next, v6, v4, t)
}

// addresses returns the addresses of a host to which a redirect leads, without reserved
// ones. For the probed host these are its own.
func (w *tour) addresses(host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	var addrs []netip.Addr
	if host == w.target.Host {
		addrs = w.target.Own
	} else {
		addrs = w.target.Lookup(host)
	}
	addrs = slices.DeleteFunc(slices.Clone(addrs), dnsgate.IsReserved)
	if len(addrs) == 0 {
		return nil, fmt.Errorf("%s has no address", host)
	}
	return addrs, nil
}

// proofIn returns the node's name in its token, "" if a page is none. A virtual host
// without a challenge names itself beside the node, and proves nothing about another
// host that redirects to it.
func proofIn(p *page, host string) string {
	node, at, also := strings.Cut(strings.TrimSpace(p.text), " ")
	if name, err := dnsgate.QueryName(node); p.status != 200 || err != nil || name != node || also && !strings.EqualFold(at, host) {
		return ""
	}
	return node
}

func families(addrs []netip.Addr) (v4, v6 []netip.Addr) {
	for _, addr := range addrs {
		if addr.Is4() {
			v4 = append(v4, addr)
		} else {
			v6 = append(v6, addr)
		}
	}
	return v4, v6
}

// followable reports why Let's Encrypt would not follow a redirect.
func followable(to *url.URL) error {
	if to.Scheme != "http" && to.Scheme != "https" {
		return fmt.Errorf("redirected to the scheme %q, and only http and https are followed", to.Scheme)
	}
	if port := portOf(to); port != 80 && port != 443 {
		return fmt.Errorf("redirected to port %s, and only 80 and 443 are followed", to.Port())
	}
	if len(to.Path) > maxPath {
		return fmt.Errorf("redirected to a path of %d bytes, and the limit is %d", len(to.Path), maxPath)
	}
	host := to.Hostname()
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Zone() != "" || dnsgate.IsReserved(addr) {
			return fmt.Errorf("redirected to the address %s, which is reserved", host)
		}
		return nil
	}
	if dnsgate.PublicSuffix(host) == "" {
		return fmt.Errorf("redirected to %q, which has no public top-level domain", host)
	}
	return nil
}

// portOf returns the port of a URL as a number, -1 if it is none.
func portOf(at *url.URL) int {
	switch {
	case at.Port() != "":
		port, err := strconv.Atoi(at.Port())
		if err != nil {
			return -1
		}
		return port
	case at.Scheme == "https":
		return 443
	}
	return 80
}

// merged returns a path as a node's nginx takes it: it merges slashes and resolves dots.
func merged(asked string) string {
	clean := path.Clean(asked)
	if strings.HasSuffix(asked, "/") && clean != "/" {
		clean += "/"
	}
	return clean
}
