package dnsgate

import (
	"net/netip"
	"slices"
)

// way is where Let's Encrypt gets by asking any of several addresses, as far
// as live probes tell: of one family it asks one, and there is no saying which.
// The greater is the better.
type way int

const (
	leadsAway   way = iota // not to the node, from any that is not its own
	leadsSome              // to the node from some
	leadsAlike             // to what answers as the node does, from some
	leadsToNode            // to the node from each
)

// leads says it of these addresses, of which those in own are the node's.
// Evidence is added of every probe that it goes by.
func (t *trial) leads(asked, own addresses) way {
	outside := asked.outside(own)
	switch {
	case len(asked) == 0:
		return leadsAway
	case len(outside) == 0:
		return leadsToNode
	case t.facts.Live == nil:
		return leadsAway
	}
	forwards, alike := 0, 0
	for _, a := range outside {
		p := t.probes()[a]
		switch {
		case p == nil:
		case forwarded(p, a):
			forwards++
			t.saw("probe", a.String(), describeProbe(p))
		case answersAlike(p, t.facts.Live.Own):
			alike++
			t.saw("probe", a.String(), describeAnswer(p))
		default:
			t.saw("probe", a.String(), describeProbe(p))
		}
	}
	if alike > 0 {
		t.saw("probe", t.facts.Live.Own.Node, describeAnswer(t.facts.Live.Own)+", by the node itself")
	}
	switch {
	case forwards == len(outside):
		return leadsToNode
	case alike > 0 && forwards+alike == len(outside):
		return leadsAlike
	case forwards > 0:
		return leadsSome
	}
	return leadsAway
}

func (t *trial) probes() map[netip.Addr]*ProbeFacts {
	probes := map[netip.Addr]*ProbeFacts{}
	if t.facts.Live == nil {
		return probes
	}
	for text, p := range t.facts.Live.Probes {
		if a, err := netip.ParseAddr(text); err == nil && p != nil {
			probes[a] = p
		}
	}
	return probes
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

// answersAlike reports whether a host cannot be told from the node by what it
// answers to the same request: it may be a proxy that hands requests on.
func answersAlike(p, own *ProbeFacts) bool {
	if own == nil || p.Status == 0 || p.Error != "" || own.Error != "" {
		return false
	}
	return p.Status == own.Status && p.ContentType == own.ContentType && p.Server == own.Server && p.Body == own.Body &&
		slices.EqualFunc(p.Hops, own.Hops, func(a, b Hop) bool { return a.Status == b.Status && a.URL == b.URL })
}
