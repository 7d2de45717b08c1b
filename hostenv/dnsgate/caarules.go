package dnsgate

import (
	"slices"
)

// An authority is what the CAA records that count, as the resolver has them, say
// to us.
type authority struct {
	at         CAALookup // where the set stands, or the lookup that is missing or failed
	known      bool
	critical   bool
	permission permission
}

func (s *subject) findAuthority() authority {
	records, at, known := relevantCAA(s.facts)
	set := readCAA(records)
	return authority{at, known, len(set.critical) > 0, permits(set.issue, s.AccountURI)}
}

func (s *subject) sawCAA() []Evidence {
	at := s.caa.at
	return []Evidence{{Name: at.Name, Type: "CAA", Server: at.Lookup.Server, Saw: describe(at.Lookup)}}
}

func caaUnknown(s *subject) []Evidence {
	if s.caa.known {
		return nil
	}
	return s.sawCAA()
}

// caaBesideCNAME applies to a set that forbids, at a name that has a CNAME at
// other servers: a resolver that met the CNAME may go by its target for CAA too.
func caaBesideCNAME(s *subject) []Evidence {
	if !s.torn || !s.caa.critical && s.caa.permission != forbidden {
		return nil
	}
	return s.sawCAA()
}

func caaCritical(s *subject) []Evidence {
	if !s.caa.critical {
		return nil
	}
	return s.sawCAA()
}

// caaSays makes the rule for what the issue records say to us.
func caaSays(p permission) func(*subject) []Evidence {
	return func(s *subject) []Evidence {
		if s.caa.permission != p {
			return nil
		}
		return s.sawCAA()
	}
}

// findDenials returns the CAA sets of single servers that forbid, though the
// resolver met another one. Each label may be asked of another server: the walk
// goes on from a label if any server has nothing there.
func (s *subject) findDenials() []Evidence {
	var seen []Evidence
	look := func(f ServerFacts, at int) {
		caa := f.CAA[at]
		set := readCAA(caa.Lookup.CAA)
		if !f.Undelegated && caa.Lookup.Outcome == OutcomeAnswer && (len(set.critical) > 0 || permits(set.issue, s.AccountURI) == forbidden) {
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
	for _, alias := range s.facts.Aliases {
		for _, f := range alias.Servers {
			if len(f.CAA) > 0 {
				look(f, 0) // the labels above a CNAME's target do not count
			}
		}
	}
	return sorted(seen)
}

func caaOfSomeBesideCNAME(s *subject) []Evidence {
	if !s.torn {
		return nil
	}
	return s.denials
}

// caaOfSomeContradiction applies where a server has a CNAME for addresses, and
// for CAA denies it.
func caaOfSomeContradiction(s *subject) []Evidence {
	if !slices.ContainsFunc(s.facts.Servers, func(f ServerFacts) bool {
		return !f.Undelegated && len(f.A.Chain)+len(f.AAAA.Chain) > 0 && len(f.CAA) > 0 &&
			clean(f.CAA[0].Lookup) && len(f.CAA[0].Lookup.Chain)+len(f.CAA[0].Lookup.CAA) == 0
	}) {
		return nil
	}
	return s.denials
}

func caaOfSome(s *subject) []Evidence { return s.denials }

// hasNoCAA reports whether a lookup at a server says that there is no CAA set;
// of a CNAME into another zone, some server of that zone has to say so.
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
		return !f.Undelegated && len(f.CAA) > 0 && s.hasNoCAA(f.CAA[0].Lookup, depth+1)
	})
}
