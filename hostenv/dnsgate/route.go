package dnsgate

import (
	"fmt"
	"net/netip"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/public"
)

// A route is where the resolver's addresses lead Let's Encrypt. It tries IPv6 first,
// and IPv4 only if there is no IPv6 address or no host answers there.
type route struct {
	way   way
	lacks lack // then way has no meaning
	// evidence is the basis of the route; a name without a usable address has none.
	evidence []Evidence

	proxied   bool      // all addresses but the node's are a proxy's: DNS does not show the end of the route
	six       bool      // the first family is IPv6
	outside   addresses // the addresses of the first family that are not the node's
	mixed     bool      // other addresses of the first family are the node's
	dead      addresses // those of outside where no host answers
	fallsBack bool      // the route leads to the node by IPv4, because of dead addresses
}

// A lack is a fact that the route needs and that is not known.
type lack int

const (
	lacksNothing lack = iota
	lacksNode         // the node's addresses of one family
	lacksFamily       // the other family of the name
)

func (s *subject) sawRoute() []Evidence { return s.route.evidence }

func (s *subject) findRoute() route {
	first, own := s.v6, s.node.v6
	if len(first) == 0 {
		first, own = s.v4, s.node.v4
	}
	behind := first.outside(own).filter(func(a netip.Addr) bool { return within(a, s.Proxies) && !s.dead(a) })
	switch {
	case len(first) == 0:
		return route{}
	case len(behind) > 0 && first.outside(own).allIn(behind):
		return s.proxyRoute(first, own)
	case len(s.v6) > 0:
		return s.route6()
	}
	return s.route4()
}

// proxyRoute decides by probes alone: DNS does not show whether a proxy forwards the
// challenge to the node. Addresses in own, which may be beside the proxy's, are the node's.
func (s *subject) proxyRoute(asked, own addresses) route {
	way, probes := s.leads(asked, own)
	return route{way: way, proxied: true, outside: asked.outside(own), evidence: append(s.sawAddresses(), probes...)}
}

func (s *subject) route6() route {
	r := route{six: true, outside: s.v6.outside(s.node.v6)}
	r.mixed = len(r.outside) < len(s.v6)
	if len(r.outside) > 0 && !s.node.v6Known {
		r.lacks, r.evidence = lacksNode, s.nodeLookups()
		return r
	}
	r.evidence = s.sawAddresses()
	for _, a := range r.outside {
		if dial, dialled := s.dials[a]; dialled {
			r.evidence = append(r.evidence, s.saw("dial", a.String(), string(dial)))
		}
	}
	r.dead = r.outside.filter(s.dead)
	living := s.v6.outside(r.dead)
	way, probes := s.leads(living, s.node.v6)
	if way == leadsUnseen && clean(s.facts.A) && s.node.v4Known {
		// If it is dead, A counts.
		if v4, _ := s.leads(s.v4, s.node.v4); v4 == leadsAway {
			way = leadsAway
		}
	}
	r.way, r.evidence = way, append(r.evidence, probes...)
	switch {
	case len(r.dead) == 0, len(living) > 0 && way == leadsAway:
	case len(s.v4) == 0 && !clean(s.facts.A) && !bogus(s.facts.A):
		r.lacks = lacksFamily
	case !s.node.v4Known:
		r.lacks, r.evidence = lacksNode, append(r.evidence, s.nodeLookups()...)
	default:
		r.way, probes = s.leads(s.v4, s.node.v4) // IPv4 replaces dead IPv6
		r.evidence = append(r.evidence, probes...)
		if len(living) > 0 {
			r.way = min(way, r.way)
		}
		r.fallsBack = r.way == leadsToNode && living.allIn(s.node.v6) && s.v4.allIn(s.node.v4)
	}
	return r
}

func (s *subject) route4() route {
	r := route{outside: s.v4.outside(s.node.v4)}
	r.mixed = len(r.outside) < len(s.v4)
	if len(r.outside) > 0 && !s.node.v4Known {
		r.lacks, r.evidence = lacksNode, s.nodeLookups()
		return r
	}
	way, probes := s.leads(s.v4, s.node.v4)
	r.way, r.evidence = way, append(s.sawAddresses(), probes...)
	if way == leadsAway && !clean(s.facts.AAAA) && !bogus(s.facts.AAAA) {
		r.lacks = lacksFamily // a right AAAA record would be tried first
	}
	return r
}

// aElsewhere and the next two warn of addresses that the route to the node does not
// use.
func aElsewhere(s *subject) []string {
	r := &s.route
	if r.six && len(r.outside) == 0 && len(s.v4.outside(s.node.v4)) > 0 && s.node.v4Known {
		return []string{fmt.Sprintf("%s: A is %s, which is not the node's: visitors without IPv6 reach another machine", s.name, s.v4)}
	}
	return nil
}

func aaaaDead(s *subject) []string {
	r := &s.route
	if r.way == leadsToNode && len(r.dead) > 0 {
		return []string{fmt.Sprintf("%s: no host answers at %s: remove the AAAA record, which slows every visitor with IPv6", s.name, r.dead)}
	}
	return nil
}

func aaaaLookupFailed(s *subject) []string {
	r := &s.route
	if !r.six && len(r.outside) == 0 && s.facts.AAAA.Failed() {
		return []string{fmt.Sprintf("%s: the AAAA lookup fails (%s): Let's Encrypt uses A", s.name, describe(s.facts.AAAA))}
	}
	return nil
}

// unroutable reports whether no machine can connect to an IPv6 address, and Let's
// Encrypt tries it nevertheless: multicast, site-local, not assigned.
func unroutable(a netip.Addr) bool { return a.Is6() && !public.Listed(a) && public.Use(a) != "" }

// dead reports whether no host answers at an address: it refuses or times out, or no
// machine can reach it. A missing route on this machine proves nothing.
func (s *subject) dead(a netip.Addr) bool {
	dial := s.dials[a]
	return dial == DialRefused || dial == DialTimeout || unroutable(a)
}

func (s *subject) allDead(list addresses) bool { return len(list.filter(s.dead)) == len(list) }
