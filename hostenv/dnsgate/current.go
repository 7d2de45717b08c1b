package dnsgate

import (
	"fmt"
	"slices"
	"strings"
)

// The resolver's cache may hold records that are no longer in the zone, for as long as
// their TTL. Let's Encrypt's resolvers keep no record for more than a minute. So the rules
// take what all name servers say, if they agree, in place of what the resolver says. They
// do not if the resolver's lookup failed: it alone checks signatures. If some servers do
// not answer or contradict themselves, and the others agree on something else than the
// resolver says, it is not known which is right.

// bringUpToDate replaces what the resolver says about the name by what its name servers
// say.
func (s *subject) bringUpToDate() {
	asked := slices.DeleteFunc(slices.Clone(s.facts.Servers), func(f ServerFacts) bool { return f.aside() })
	if len(s.views) == 0 {
		return
	}
	slices.SortFunc(asked, compareServers)
	contradict := slices.ContainsFunc(asked, contradicts)
	alias := slices.ContainsFunc(asked, func(f ServerFacts) bool { return len(f.A.Chain)+len(f.AAAA.Chain) > 0 })
	differ := disagreement(s.views)
	if differ != "" || contradict && alias {
		s.findOrigins(asked)
	} else {
		s.replaceAddresses(asked)
	}
	if contradict || strings.HasPrefix(differ, "CNAME") || slices.ContainsFunc(asked, hidesCNAME) {
		return
	}
	s.facts.CAA = slices.Clone(s.facts.CAA)
	for i, at := range s.facts.CAA {
		now, ok := s.agreedCAA(asked, at.Name)
		if !ok || !clean(at.Lookup) || describe(Lookup{Outcome: OutcomeNoData, CAA: at.Lookup.CAA}) == describe(now) {
			continue
		}
		s.outdated = append(s.outdated, fmt.Sprintf("%s: the resolver has %s for CAA of %s, and the name servers have %s, which counts", s.name, describe(at.Lookup), at.Name, describe(now)))
		s.facts.CAA[i].Lookup = now
	}
}

// replaceAddresses takes the addresses of the servers, which agree, in place of the
// resolver's.
func (s *subject) replaceAddresses(asked []ServerFacts) {
	replace := func(kind string, old *Lookup, of func(ServerFacts) Lookup) {
		now, all, ok := s.agreed(kind == "AAAA", asked, of)
		if !ok || !clean(*old) || sameAddresses(*old, now) {
			return
		}
		if !all {
			if len(old.Addresses)+len(now.Addresses) > 0 {
				s.uncertain = append(s.uncertain, s.sawLookup(kind, *old), s.sawLookup(kind, now))
			}
			return
		}
		s.outdated = append(s.outdated, fmt.Sprintf("%s: the resolver has %s for %s, and the name servers have %s, which counts", s.name, describe(*old), kind, describe(now)))
		*old = now
	}
	replace("A", &s.facts.A, func(f ServerFacts) Lookup { return f.A })
	replace("AAAA", &s.facts.AAAA, func(f ServerFacts) Lookup { return f.AAAA })
}

// findOrigins notes the addresses of the resolver that follow from no server's answer. The
// servers differ, or have a CNAME for one type alone, which a resolver that met it follows
// for the other.
func (s *subject) findOrigins(asked []ServerFacts) {
	check := func(kind string, l Lookup, of func(ServerFacts) Lookup) {
		follows := func(f ServerFacts) bool {
			if len(l.Chain) == 0 {
				return slices.Equal(parse(l.Addresses), parse(of(f).Addresses))
			}
			heads := slices.Clone(f.CNAME.Targets)
			for _, chain := range [][]string{f.A.Chain, f.AAAA.Chain} {
				heads = append(heads, chain[:min(1, len(chain))]...)
			}
			return slices.Contains(heads, l.Chain[0])
		}
		if clean(l) && len(l.Addresses) > 0 && !slices.ContainsFunc(asked, follows) {
			var has []Evidence
			for _, f := range asked {
				has = append(has, f.saw(s.name, kind, of(f)))
			}
			s.baseless = slices.Concat(s.baseless, []Evidence{s.sawLookup(kind, l)}, sorted(has))
		}
	}
	check("A", s.facts.A, func(f ServerFacts) Lookup { return f.A })
	check("AAAA", s.facts.AAAA, func(f ServerFacts) Lookup { return f.AAAA })
}

// Current returns the addresses of a name that the gate goes by: those that all its name
// servers have, in place of those that the resolver remembers. Node is the name in DNS of
// the node that serves it.
func Current(facts *Facts, node, name string) []string {
	s := lookUp(facts, Request{Node: node}, name)
	return slices.Concat(s.facts.A.Addresses, s.facts.AAAA.Addresses)
}

// agreed returns the answer of the servers for one family, if all that answer say the
// same, and whether all answer, for both families. At the end of a CNAME into another zone
// that zone's servers have to agree.
func (s *subject) agreed(six bool, servers []ServerFacts, of func(ServerFacts) Lookup) (agreed Lookup, all, ok bool) {
	all = !slices.ContainsFunc(servers, unsound)
	for _, f := range servers {
		l := of(f)
		if !clean(l) {
			continue
		}
		// A resolver asks for the target of the CNAME again.
		all = all && (l.Outcome != OutcomeNXDomain || len(l.Chain) == 0)
		now := Lookup{Outcome: l.Outcome, Addresses: l.Addresses, Chain: l.Chain, Server: f.label()}
		if len(l.Chain)+len(l.Addresses) == 0 && l.Outcome != OutcomeNXDomain {
			now.Chain = f.CNAME.Targets // whose target the server does not have
		}
		if n := len(now.Chain); n > 0 && !s.inZone(now.Chain[n-1]) {
			v4, v6, known := s.addressesOf(now.Chain[n-1], 0)
			if now.Chain[n-1] == s.Node {
				v4, v6, known = answer{known: s.node.v4Known, list: s.node.v4}, answer{known: s.node.v6Known, list: s.node.v6}, true
			}
			if six {
				v4 = v6
			}
			if !known || !v4.known {
				return Lookup{}, false, false
			}
			now.Outcome, now.Addresses = v4.missing, texts(v4.list)
			if len(v4.list) > 0 {
				now.Outcome = OutcomeAnswer
			} else if now.Outcome == "" {
				now.Outcome = OutcomeNoData
			}
		}
		if ok && !sameAddresses(agreed, now) {
			return Lookup{}, false, false
		}
		if !ok {
			agreed, ok = now, true
		}
	}
	return agreed, all, ok
}

func sameAddresses(a, b Lookup) bool {
	return slices.Equal(parse(a.Addresses), parse(b.Addresses)) && (len(a.Addresses) > 0 || a.Outcome == b.Outcome)
}

// agreedCAA returns the CAA set of a label that all servers have. Those that refuse do not
// count: Let's Encrypt gets its answer from the others. At the end of a CNAME into another
// zone it is the set of that zone's servers.
func (s *subject) agreedCAA(servers []ServerFacts, label string) (agreed Lookup, ok bool) {
	for _, f := range servers {
		i := slices.IndexFunc(f.CAA, func(l CAALookup) bool { return l.Name == label })
		if i < 0 {
			return Lookup{}, false
		}
		l := f.CAA[i].Lookup
		if refuses(l) {
			continue
		}
		if n := len(l.Chain); n > 0 && !s.inZone(l.Chain[n-1]) {
			target, known := s.caaOf(l.Chain[n-1])
			if !known {
				return Lookup{}, false
			}
			l.CAA = target.CAA
		}
		now := Lookup{Outcome: OutcomeNoData, CAA: l.CAA, Server: f.label()}
		if len(l.CAA) > 0 {
			now.Outcome = OutcomeAnswer
		}
		switch {
		case !clean(l):
			return Lookup{}, false
		case !ok:
			agreed, ok = now, true
		case describe(agreed) != describe(now):
			return Lookup{}, false
		}
	}
	return agreed, ok
}

// caaOf returns the CAA set that all servers of another zone have for a name of it.
func (s *subject) caaOf(name string) (agreed Lookup, known bool) {
	i := slices.IndexFunc(s.facts.Aliases, func(a AliasFacts) bool { return a.Name == name })
	if i < 0 {
		return Lookup{}, false
	}
	for _, f := range s.facts.Aliases[i].Servers {
		if f.aside() {
			continue
		}
		if len(f.CAA) == 0 || f.CAA[0].Name != name || !clean(f.CAA[0].Lookup) || len(f.CAA[0].Lookup.Chain) > 0 {
			return Lookup{}, false
		}
		now := Lookup{Outcome: OutcomeNoData, CAA: f.CAA[0].Lookup.CAA}
		if known && describe(agreed) != describe(now) {
			return Lookup{}, false
		}
		agreed, known = now, true
	}
	return agreed, known
}

func resolverBehind(s *subject) []string { return s.outdated }
