package dnsgate

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// A subject is a name to judge, with all values that the rules need. It does not
// change after newSubject.
type subject struct {
	Request
	name string // the name in facts; the customer's spelling if invalid is set
	// wildcard is set if the certificate has the wildcard below the name in place of it.
	wildcard bool
	invalid  error // why no public certificate can have the name
	tooMany  bool  // the certificate has too many names

	facts  *NameFacts
	nodeOf *NodeFacts // nil if it was not looked up
	node   published
	v4, v6 addresses // of the name, without reserved ones
	dials  map[netip.Addr]Dial
	probes map[netip.Addr]*ProbeFacts
	own    *ProbeFacts // the answer of the node itself; nil without live checks

	views     []view
	uncertain []Evidence // what the resolver says and some name servers do not, while others do not answer
	baseless  []Evidence // what the resolver says and follows from no name server's answer, while they differ
	outdated  []string   // what the resolver says and the name servers do not, as warnings
	torn      bool       // the name servers differ on the CNAME
	conflicts []conflict
	caa       authority
	route     route
}

func newSubject(facts *Facts, request Request, spelling string) *subject {
	name, wildcard, err := request.query(spelling)
	if err != nil {
		return &subject{Request: request, name: spelling, invalid: err}
	}
	s := lookUp(facts, request, name)
	s.wildcard = wildcard
	s.conflicts = s.findConflicts()
	s.caa = s.findAuthority()
	s.route = s.findRoute()
	return s
}

// lookUp returns the subject with its facts, without conclusions from them.
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
	s.views = viewsOf(s.facts.Servers)
	s.torn = disagreement(s.views) == "CNAME"
	s.bringUpToDate()
	s.v4 = parse(s.facts.A.Addresses).usable()
	s.v6 = parse(s.facts.AAAA.Addresses).usable()
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

// query returns the name in facts for a name of the certificate, and whether that is the
// wildcard below it.
func (r Request) query(spelling string) (name string, wildcard bool, err error) {
	if r.DNS {
		spelling, wildcard = strings.CutPrefix(spelling, "*.")
	}
	name, err = QueryName(spelling)
	return name, wildcard, err
}

// certified returns the name in the certificate.
func (s *subject) certified() string {
	if s.wildcard {
		return "*." + s.name
	}
	return s.name
}

// method returns the validation method of the certificate.
func (s *subject) method() string {
	if s.DNS {
		return byDNS
	}
	return byHTTP
}

// hasNoAddress reports whether the name has no address that Let's Encrypt would try.
func (s *subject) hasNoAddress() bool { return len(s.v4)+len(s.v6) == 0 }

// inZone reports whether a name lies in the zone of the subject.
func (s *subject) inZone(name string) bool {
	return name == s.facts.Zone || strings.HasSuffix(name, "."+s.facts.Zone)
}

// saw returns evidence about the name itself.
func (s *subject) saw(kind, server, saw string) Evidence {
	return Evidence{Name: s.name, Type: kind, Server: server, Saw: saw}
}

func (s *subject) sawLookup(kind string, l Lookup) Evidence {
	return s.saw(kind, l.Server, describe(l))
}

func (s *subject) sawInvalid() []Evidence { return []Evidence{s.saw("name", "", s.invalid.Error())} }

func (s *subject) sawAAAA() []Evidence { return []Evidence{s.sawLookup("AAAA", s.facts.AAAA)} }

// lookups returns both lookups of the resolver.
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

// nodeLookups returns the lookups of the node's own name.
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

// saw returns a server's own answer as evidence.
func (f *ServerFacts) saw(name, kind string, l Lookup) Evidence {
	return Evidence{Name: name, Type: kind, Server: f.label(), Saw: describe(l)}
}

// sorted sorts the evidence of several servers, so that their order in the facts
// does not matter.
func sorted(seen []Evidence) []Evidence {
	slices.SortStableFunc(seen, func(a, b Evidence) int {
		return cmp.Or(strings.Compare(a.Server, b.Server), strings.Compare(a.Type, b.Type), strings.Compare(a.Saw, b.Saw))
	})
	return seen
}
