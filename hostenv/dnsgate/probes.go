package dnsgate

import (
	"net/netip"
	"slices"
)

// A way is the result of live probes for several addresses of one family. Let's
// Encrypt asks one of them, chosen by chance. A greater way is better.
type way int

const (
	leadsAway   way = iota // no foreign address leads to the node
	leadsSome              // some lead to the node
	leadsUnseen            // where some lead cannot be seen from this machine
	leadsAlike             // all lead to the node, or to a host that answers as the node does
	leadsToNode            // all lead to the node
)

// leads returns the way of the addresses asked, and its probes as evidence. The
// addresses in own are the node's.
func (s *subject) leads(asked, own addresses) (way, []Evidence) {
	outside := asked.outside(own)
	switch {
	case len(asked) == 0:
		return leadsAway, nil
	case len(outside) == 0:
		return leadsToNode, nil
	}
	forwards, alike, unseen := 0, 0, 0
	var seen []Evidence
	for _, a := range outside {
		p := s.probes[a]
		switch {
		case p == nil && s.dials[a] == DialUnreachable:
			unseen++
		case p == nil:
		case p.NoRoute:
			unseen++
			seen = append(seen, s.saw("probe", a.String(), describeProbe(p)))
		case s.forwards(p, a):
			forwards++
			seen = append(seen, s.saw("probe", a.String(), describeProbe(p)))
		case s.alike(p):
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
	case unseen > 0 && forwards+alike+unseen == len(outside):
		return leadsUnseen, seen
	case forwards > 0:
		return leadsSome, seen
	}
	return leadsAway, seen
}

// forwards reports whether an address forwards the challenge to the node. Where the node
// serves its token, only that proves it.
func (s *subject) forwards(p *ProbeFacts, by netip.Addr) bool {
	if s.serves() {
		return p.Proof == s.Node
	}
	return redirected(p, by)
}

// serves reports whether the node serves its token for the name.
func (s *subject) serves() bool { return s.own != nil && s.own.Proof == s.Node }

// alike reports whether an address may be a proxy in front of the node. Where the node
// serves its token, a proxy would do so too.
func (s *subject) alike(p *ProbeFacts) bool { return !s.serves() && answersAlike(p, s.own) }

// redirected reports whether an address redirected the probe and the node answered.
func redirected(p *ProbeFacts, by netip.Addr) bool {
	if !p.Reached || len(p.Hops) == 0 {
		return false
	}
	from, err := netip.ParseAddr(p.Hops[0].Address)
	return err == nil && from == by
}

// answersAlike reports whether a host and the node give the same answer to the same
// request: the host may be a proxy in front of the node.
func answersAlike(p, own *ProbeFacts) bool {
	if own == nil || p.Status == 0 || p.Error != "" || own.Error != "" {
		return false
	}
	return p.Status == own.Status && p.ContentType == own.ContentType && p.Server == own.Server && p.Body == own.Body &&
		slices.EqualFunc(p.Hops, own.Hops, func(a, b Hop) bool { return a.Status == b.Status && a.URL == b.URL })
}
