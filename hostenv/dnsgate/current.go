package dnsgate

import (
	"fmt"
	"slices"
)

// The resolver's cache may hold records that are no longer in the zone, for as long as
// their TTL. Let's Encrypt's resolvers keep no record for more than a minute. So the rules
// take what all name servers say, if they agree, in place of what the resolver says. They
// do not if the resolver's lookup failed: it alone checks signatures. If some servers do
// not answer, and the others agree on something else than the resolver says, it is not
// known which is right.

// bringUpToDate replaces what the resolver says about the name by what its name servers
// say.
func (s *subject) bringUpToDate() {
	asked := slices.DeleteFunc(slices.Clone(s.facts.Servers), func(f ServerFacts) bool { return f.aside() })
	if len(s.views) == 0 || disagreement(s.views) != "" || slices.ContainsFunc(asked, contradicts) {
		return
	}
	slices.SortFunc(asked, compareServers)
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
	if slices.ContainsFunc(asked, hidesCNAME) {
		return
	}
	s.facts.CAA = slices.Clone(s.facts.CAA)
	for i, at := range s.facts.CAA {
		now, ok := agreedCAA(asked, at.Name)
		if !ok || !clean(at.Lookup) || describe(Lookup{Outcome: OutcomeNoData, CAA: at.Lookup.CAA}) == describe(now) {
			continue
		}
		s.outdated = append(s.outdated, fmt.Sprintf("%s: the resolver has %s for CAA of %s, and the name servers have %s, which counts", s.name, describe(at.Lookup), at.Name, describe(now)))
		s.facts.CAA[i].Lookup = now
	}
}

// agreed returns the answer of the servers for one family, if all that answer say the
// same, and whether all answer, for both families. At the end of a CNAME into another zone that
// zone's servers have to agree.
func (s *subject) agreed(six bool, servers []ServerFacts, of func(ServerFacts) Lookup) (agreed Lookup, all, ok bool) {
	all = !slices.ContainsFunc(servers, unsound)
	for _, f := range servers {
		l := of(f)
		if !clean(l) {
			continue
		}
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

// agreedCAA returns the CAA set of a label that all servers have.
func agreedCAA(servers []ServerFacts, label string) (agreed Lookup, ok bool) {
	for _, f := range servers {
		i := slices.IndexFunc(f.CAA, func(l CAALookup) bool { return l.Name == label })
		if i < 0 {
			return Lookup{}, false
		}
		l := f.CAA[i].Lookup
		now := Lookup{Outcome: OutcomeNoData, CAA: l.CAA, Server: f.label()}
		if len(l.CAA) > 0 {
			now.Outcome = OutcomeAnswer
		}
		switch {
		case !clean(l) || len(l.Chain) > 0:
			return Lookup{}, false
		case !ok:
			agreed, ok = now, true
		case describe(agreed) != describe(now):
			return Lookup{}, false
		}
	}
	return agreed, ok
}

func resolverBehind(s *subject) []string { return s.outdated }
