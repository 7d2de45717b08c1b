package dnsgate

import (
	"net/netip"
	"slices"
)

// A way is where Let's Encrypt gets by asking any of several addresses, as far
// as live probes show: of one family it asks one, which may be any. The greater
// is the better.
type way int

const (
	leadsAway   way = iota // not to the node, from any that is not its own
	leadsSome              // to the node from some
	leadsAlike             // to what answers as the node does, from some
	leadsToNode            // to the node from all
)

// leads returns the way of these addresses, of which those in own are the
// node's, and the probes that it rests on.
func (s *subject) leads(asked, own addresses) (way, []Evidence) {
	outside := asked.outside(own)
	switch {
	case len(asked) == 0:
		return leadsAway, nil
	case len(outside) == 0:
		return leadsToNode, nil
	}
	forwards, alike := 0, 0
	var seen []Evidence
	for _, a := range outside {
		p := s.probes[a]
		switch {
		case p == nil:
		case forwarded(p, a):
			forwards++
			seen = append(seen, s.saw("probe", a.String(), describeProbe(p)))
		case answersAlike(p, s.own):
			alike++
			seen = append(seen, s.saw("probe", a.String(), describeAnswer(p)))
		default:
			seen = append(seen, s.saw("probe", a.String(), describeProbe(p)))
		}
	}
	if alike > 0 {
		seen = append(seen, s.saw("probe", s.own.Node, describeAnswer(s.own)+", by the node itself"))
	}
	switch {
	case forwards == len(outside):
		return leadsToNode, seen
	case alike > 0 && forwards+alike == len(outside):
		return leadsAlike, seen
	case forwards > 0:
		return leadsSome, seen
	}
	return leadsAway, seen
}

// forwarded reports whether a probe was redirected by this address and answered
// by the node.
func forwarded(p *ProbeFacts, by netip.Addr) bool {
	if !p.Reached || len(p.Hops) == 0 {
		return false
	}
	from, err := netip.ParseAddr(p.Hops[0].Address)
	return err == nil && from == by
}

// answersAlike reports whether a host gives the same answer as the node to the
// same request: it may be a proxy that hands requests on.
func answersAlike(p, own *ProbeFacts) bool {
	if own == nil || p.Status == 0 || p.Error != "" || own.Error != "" {
		return false
	}
	return p.Status == own.Status && p.ContentType == own.ContentType && p.Server == own.Server && p.Body == own.Body &&
		slices.EqualFunc(p.Hops, own.Hops, func(a, b Hop) bool { return a.Status == b.Status && a.URL == b.URL })
}
