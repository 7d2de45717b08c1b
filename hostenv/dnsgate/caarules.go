package dnsgate

import "slices"

// An authority is what the resolver's CAA records allow us.
type authority struct {
	at         CAALookup // the lookup that has the set, is missing, or failed
	known      bool
	critical   bool
	permission permission
}

func (s *subject) findAuthority() authority {
	records, at, known := relevantCAA(s.facts)
	set := readCAA(records)
	return authority{at, known, len(set.critical) > 0, permits(set.issuing(s.wildcard), s.AccountURI, s.method())}
}

func (s *subject) sawCAA() []Evidence {
	at := s.caa.at
	return []Evidence{{Name: at.Name, Type: "CAA", Server: at.Lookup.Server, Saw: describe(at.Lookup)}}
}

// sawDenials returns the CAA sets of single servers that forbid, though the
// resolver's set does not. Each label may be asked of another server, so the walk
// continues at the next label if any server has no set at this one.
func (s *subject) sawDenials() []Evidence {
	var seen []Evidence
	look := func(f ServerFacts, at int) {
		caa := f.CAA[at]
		set := readCAA(caa.Lookup.CAA)
		if !f.aside() && !caa.Lookup.Failed() && len(caa.Lookup.CAA) > 0 && (len(set.critical) > 0 || permits(set.issuing(s.wildcard), s.AccountURI, s.method()) == forbidden) {
			seen = append(seen, f.saw(caa.Name, "CAA", caa.Lookup))
		}
	}
	for at, climbs := 0, true; climbs; at++ {
		climbs = false
		for _, f := range s.facts.Servers {
			if at < len(f.CAA) {
				look(f, at)
				climbs = climbs || s.hasNoCAA(f.CAA[at].Lookup, 0)
			}
		}
	}
	for _, alias := range s.ledTo() {
		for _, f := range alias.Servers {
			if len(f.CAA) > 0 {
				look(f, 0) // the labels above the target of a CNAME do not count
			}
		}
	}
	return sorted(seen)
}

// hidesCNAME reports whether a server has a CNAME for addresses, and none for CAA: it
// denies the name then, or has CAA records beside the CNAME. What a resolver makes of that
// depends on what it asked before.
func hidesCNAME(f ServerFacts) bool {
	return !f.aside() && len(f.A.Chain)+len(f.AAAA.Chain) > 0 && len(f.CAA) > 0 &&
		clean(f.CAA[0].Lookup) && len(f.CAA[0].Lookup.Chain) == 0
}

// hasNoCAA reports whether a server's lookup shows that the name has no CAA set. If
// a CNAME leads into another zone, a server of that zone has to show it.
func (s *subject) hasNoCAA(l Lookup, depth int) bool {
	if !clean(l) || len(l.CAA) > 0 {
		return false
	}
	if len(l.Chain) == 0 {
		return true
	}
	end := l.Chain[len(l.Chain)-1]
	i := slices.IndexFunc(s.facts.Aliases, func(a AliasFacts) bool { return a.Name == end })
	if i < 0 || depth > maxDepth {
		return i < 0 && (s.facts.Zone == "" || s.inZone(end))
	}
	return slices.ContainsFunc(s.facts.Aliases[i].Servers, func(f ServerFacts) bool {
		return !f.aside() && len(f.CAA) > 0 && s.hasNoCAA(f.CAA[0].Lookup, depth+1)
	})
}
