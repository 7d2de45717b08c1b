package dnsgate

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// A subject is one name that is judged, with all that the rules need to know of
// it. It does not change once it is made.
type subject struct {
	Request
	name    string // as facts are recorded; as it was written, if invalid is set
	names   int    // of the certificate, if there are too many
	invalid error  // why no public certificate can hold the name

	facts  *NameFacts
	nodeOf *NodeFacts // nil if it was not looked up
	node   published
	v4, v6 addresses // of the name, without reserved ones
	dials  map[netip.Addr]Dial
	probes map[netip.Addr]*ProbeFacts
	own    *ProbeFacts // what the node itself answers; nil without live checks

	views     []view
	torn      bool // the name servers differ on the CNAME
	conflicts []conflict
	caa       authority
	denials   []Evidence // CAA of some server that forbids
	route     route
}

func newSubject(facts *Facts, request Request, spelling string) *subject {
	name, err := QueryName(spelling)
	if err != nil {
		return &subject{Request: request, name: spelling, invalid: err}
	}
	s := lookUp(facts, request, name)
	s.conflicts = s.findConflicts()
	s.caa = s.findAuthority()
	s.denials = s.findDenials()
	s.route = s.findRoute()
	return s
}

// lookUp returns the subject with what facts say of it, before anything is
// concluded.
func lookUp(facts *Facts, request Request, name string) *subject {
	s := &subject{
		Request: request, name: name, facts: &NameFacts{},
		dials: map[netip.Addr]Dial{}, probes: map[netip.Addr]*ProbeFacts{},
	}
	if facts != nil {
		s.nodeOf = facts.Nodes[s.Node]
		if f := facts.Names[name]; f != nil {
			own := *f
			s.facts = &own
		}
	}
	s.facts.Name = name
	s.node = publishedBy(s.nodeOf)
	s.v4 = parse(s.facts.A.Addresses).usable()
	s.v6 = parse(s.facts.AAAA.Addresses).usable()
	s.views = viewsOf(s.facts.Servers)
	s.torn = disagreement(s.views) == "CNAME"
	if live := s.facts.Live; live != nil {
		s.own = live.Own
		for text, dial := range live.Dials {
			if a, err := netip.ParseAddr(text); err == nil {
				s.dials[a] = dial
			}
		}
		for text, p := range live.Probes {
			if a, err := netip.ParseAddr(text); err == nil && p != nil {
				s.probes[a] = p
			}
		}
	}
	return s
}

func (s *subject) hasAddress() bool { return len(s.v4)+len(s.v6) > 0 }

// inZone reports whether a name lies in the zone of the subject.
func (s *subject) inZone(name string) bool {
	return name == s.facts.Zone || strings.HasSuffix(name, "."+s.facts.Zone)
}

// saw returns what was seen of the subject itself.
func (s *subject) saw(kind, server, saw string) Evidence {
	return Evidence{Name: s.name, Type: kind, Server: server, Saw: saw}
}

func (s *subject) sawLookup(kind string, l Lookup) Evidence {
	return s.saw(kind, l.Server, describe(l))
}

// lookups are the two through the resolver.
func (s *subject) lookups() []Evidence {
	return []Evidence{s.sawLookup("A", s.facts.A), s.sawLookup("AAAA", s.facts.AAAA)}
}

// sawAddresses returns the addresses of the name and those of the node.
func (s *subject) sawAddresses() []Evidence {
	var seen []Evidence
	if s.facts.AAAA.Failed() || len(s.v6) > 0 {
		seen = append(seen, s.sawLookup("AAAA", s.facts.AAAA))
	}
	return append(seen, s.sawLookup("A", s.facts.A), s.sawNode())
}

// sawNode returns the node's addresses.
func (s *subject) sawNode() Evidence {
	return Evidence{Name: s.Node, Type: "node", Saw: cmp.Or(s.node.all().String(), "no address")}
}

// nodeLookups returns how the node's own name was looked up.
func (s *subject) nodeLookups() []Evidence {
	if s.nodeOf == nil {
		return []Evidence{{Name: s.Node, Type: "node", Saw: "not looked up"}}
	}
	return []Evidence{
		{Name: s.Node, Type: "A", Saw: describe(s.nodeOf.A)},
		{Name: s.Node, Type: "AAAA", Saw: describe(s.nodeOf.AAAA)},
	}
}

// label is the name and the address of a server.
func (f *ServerFacts) label() string { return strings.TrimSpace(f.Name + " " + f.Address) }

// saw returns what a server said when it was asked directly.
func (f *ServerFacts) saw(name, kind string, l Lookup) Evidence {
	return Evidence{Name: name, Type: kind, Server: f.label(), Saw: describe(l)}
}

// sorted puts evidence of several servers in an order that does not depend on
// that of the servers.
func sorted(seen []Evidence) []Evidence {
	slices.SortStableFunc(seen, func(a, b Evidence) int {
		return cmp.Or(strings.Compare(a.Server, b.Server), strings.Compare(a.Type, b.Type), strings.Compare(a.Saw, b.Saw))
	})
	return seen
}
