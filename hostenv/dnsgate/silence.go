package dnsgate

import "slices"

// The rules of this file prevent a pass if name servers do not answer a part of the
// questions, so that another resolver may not get this resolver's answer.

func (s *subject) sawNoServer() []Evidence {
	zone := s.facts.Zone
	if zone == "" {
		zone = "its zone, which is not known,"
	}
	return []Evidence{s.saw("NS", "", "no name server of "+zone+" was found")}
}

// isLame reports whether no server that the parent zone names answers anything, while one
// that it does not name answers, or while all of them answer with an error. The resolver then has its answer from
// an earlier delegation.
func isLame(servers []ServerFacts) bool {
	named, refuse, others := 0, 0, false
	for _, f := range servers {
		switch {
		case answersAnything(f):
			if !f.aside() {
				return false
			}
			others = true
		case !f.aside():
			if named++; refuses(f.A) && refuses(f.AAAA) {
				refuse++
			}
		}
	}
	return named > 0 && (others || refuse == named)
}

// sawReferral applies if a server of what the resolver took for the zone of the name, or of
// the end of its CNAMEs, refers to another zone, and none answers: that zone is new, and
// the resolver remembers that it was not there.
func (s *subject) sawReferral() []Evidence {
	look := func(name string, servers []ServerFacts) (seen []Evidence) {
		lame := false
		for _, f := range servers {
			if answersAnything(f) {
				return nil
			}
			lame = lame || f.A.Failed() && f.A.Error == ErrorLame
			seen = append(seen, f.saw(name, "A", f.A), f.saw(name, "AAAA", f.AAAA))
		}
		if !lame {
			return nil
		}
		return sorted(seen)
	}
	for _, chain := range [][]string{s.facts.A.Chain, s.facts.AAAA.Chain} {
		for _, alias := range s.facts.Aliases {
			if len(chain) > 0 && alias.Name == chain[len(chain)-1] {
				if seen := look(alias.Name, alias.Servers); len(seen) > 0 {
					return seen
				}
			}
		}
	}
	return look(s.name, s.facts.Servers)
}

// refuses reports whether a server answered, and with an error.
func refuses(l Lookup) bool { return l.Failed() && l.Error != ErrorTimeout }

func (s *subject) sawServers() []Evidence {
	var seen []Evidence
	for _, f := range s.facts.Servers {
		seen = append(seen, f.saw(s.name, "A", f.A), f.saw(s.name, "AAAA", f.AAAA))
	}
	return sorted(seen)
}

// resolverWaited applies if the resolver's question for one family timed out. A
// resolver may then take the server for dead, and fail the next question too.
func resolverWaited(s *subject) []Evidence {
	var seen []Evidence
	if timedOut(s.facts.A) {
		seen = append(seen, s.sawLookup("A", s.facts.A))
	}
	if timedOut(s.facts.AAAA) {
		seen = append(seen, s.sawLookup("AAAA", s.facts.AAAA))
	}
	return seen
}

// silentOverTCP applies if a server sends clients from UDP to TCP and does not answer
// there: a resolver waits for it longer than Let's Encrypt does. A server that is
// silent over UDP does less harm, because the resolver soon asks the next one.
func silentOverTCP(s *subject) []Evidence {
	var seen []Evidence
	look := func(f ServerFacts, name, kind string, l Lookup) {
		if l.Truncated && timedOut(l) && !f.aside() {
			seen = append(seen, f.saw(name, kind, l))
		}
	}
	for _, zone := range append([]AliasFacts{{Name: s.name, Servers: s.facts.Servers}}, s.facts.Aliases...) {
		for _, f := range zone.Servers {
			look(f, zone.Name, "A", f.A)
			look(f, zone.Name, "AAAA", f.AAAA)
			for _, caa := range f.CAA {
				look(f, caa.Name, "CAA", caa.Lookup)
			}
		}
	}
	return sorted(seen)
}

// hasCNAMEInZone reports whether a server has a CNAME to a name of the same zone.
func (s *subject) hasCNAMEInZone() bool {
	return s.facts.Zone != "" && slices.ContainsFunc(s.views, func(v view) bool { return len(v.cname) > 0 && s.inZone(v.cname[0]) })
}

// silentAboutName applies if a server answers for the zone but not for the name, and
// another one has a CNAME to a name of that zone: a resolver may ask the first server
// for the target.
func silentAboutName(s *subject) []Evidence {
	var seen []Evidence
	for _, f := range s.facts.Servers {
		hasZone := slices.ContainsFunc(f.CAA, func(l CAALookup) bool { return clean(l.Lookup) })
		if !f.aside() && f.A.Failed() && f.AAAA.Failed() && hasZone {
			seen = append(seen, f.saw(s.name, "A", f.A), f.saw(s.name, "AAAA", f.AAAA))
		}
	}
	return sorted(seen)
}

// silentAboutCAA applies if no server that has the name answers for its CAA: the
// resolver then has its answer from a CNAME that it followed for an address.
func silentAboutCAA(s *subject) []Evidence {
	var seen []Evidence
	for _, f := range s.facts.Servers {
		if f.aside() || !answersAnything(f) {
			continue
		}
		if len(f.CAA) == 0 || !f.CAA[0].Lookup.Failed() {
			return nil
		}
		seen = append(seen, f.saw(f.CAA[0].Name, "CAA", f.CAA[0].Lookup))
	}
	return sorted(seen)
}

// silentAboutFamily applies if no server answers for one of the families, but some
// answer other questions: resolvers take such servers for dead, and may fail for the
// whole zone.
func silentAboutFamily(s *subject) []Evidence {
	lost4, lost6 := true, true
	for _, f := range s.facts.Servers {
		// If the resolver has an address, it followed a CNAME that came with another
		// question.
		lost4 = lost4 && (lost(f.A) || f.A.Failed() && len(s.v4) > 0 && len(s.v6) == 0)
		lost6 = lost6 && (lost(f.AAAA) || f.AAAA.Failed() && len(s.v6) > 0)
	}
	var seen []Evidence
	for _, f := range s.facts.Servers {
		if lost4 {
			seen = append(seen, f.saw(s.name, "A", f.A))
		}
		if lost6 {
			seen = append(seen, f.saw(s.name, "AAAA", f.AAAA))
		}
	}
	return sorted(seen)
}

func answersAnything(f ServerFacts) bool { return clean(f.A) || clean(f.AAAA) || clean(f.CNAME) }

// lost reports whether a resolver gives up a server after this lookup: the server is
// silent, or does not have the zone.
func lost(l Lookup) bool { return timedOut(l) || l.Failed() && l.Error == ErrorLame }

func timedOut(l Lookup) bool { return l.Failed() && l.Error == ErrorTimeout }
