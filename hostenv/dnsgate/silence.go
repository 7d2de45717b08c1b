package dnsgate

import "slices"

// The rules of this file take a pass back where the resolver got an answer that
// another one may not get, because name servers are silent about a part.

func zoneWithoutServers(s *subject) []Evidence {
	if s.facts.Zone == "" || len(s.facts.Servers) > 0 {
		return nil
	}
	return []Evidence{s.saw("NS", "", "no name server of "+s.facts.Zone+" was found")}
}

// resolverWaited applies where the resolver got no answer for one family. A
// resolver that waited in vain for one question may hold the server for dead
// when the next one comes.
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

// silentOverTCP applies where a server sends clients from UDP to TCP and is
// silent there: a resolver that asks it waits for longer than Let's Encrypt
// does. A server that is silent over UDP costs less: the next one is asked soon.
func silentOverTCP(s *subject) []Evidence {
	var seen []Evidence
	look := func(f ServerFacts, name, kind string, l Lookup) {
		if l.Truncated && timedOut(l) && !f.Undelegated {
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

// silentAboutName applies where a server answers for the zone and not for the
// name, and another one has a CNAME to a name of that zone: the first may well
// be asked for the target.
func silentAboutName(s *subject) []Evidence {
	if s.facts.Zone == "" || !slices.ContainsFunc(s.views, func(v view) bool { return len(v.cname) > 0 && s.inZone(v.cname[0]) }) {
		return nil
	}
	var seen []Evidence
	for _, f := range s.facts.Servers {
		hasZone := slices.ContainsFunc(f.CAA, func(l CAALookup) bool { return clean(l.Lookup) })
		if !f.Undelegated && f.A.Failed() && f.AAAA.Failed() && hasZone {
			seen = append(seen, f.saw(s.name, "A", f.A), f.saw(s.name, "AAAA", f.AAAA))
		}
	}
	return sorted(seen)
}

// silentAboutCAA applies where no server that has the name answers for its CAA:
// what the resolver has, it has by a CNAME that it met for an address.
func silentAboutCAA(s *subject) []Evidence {
	var seen []Evidence
	for _, f := range s.facts.Servers {
		if f.Undelegated || !answersAnything(f) {
			continue
		}
		if len(f.CAA) == 0 || !f.CAA[0].Lookup.Failed() {
			return nil
		}
		seen = append(seen, f.saw(f.CAA[0].Name, "CAA", f.CAA[0].Lookup))
	}
	return sorted(seen)
}

// silentAboutFamily applies where no server answers for one of the families,
// though they answer otherwise: resolvers then hold them for dead, and may lose
// everything else of the zone.
func silentAboutFamily(s *subject) []Evidence {
	if !slices.ContainsFunc(s.facts.Servers, answersAnything) {
		return nil
	}
	lost4, lost6 := true, true
	for _, f := range s.facts.Servers {
		// An address that the resolver has all the same it has by a CNAME that it
		// met when it asked for something else.
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

// lost reports whether a resolver gives a server up after this lookup: the
// server is silent, or does not have the zone.
func lost(l Lookup) bool { return timedOut(l) || l.Failed() && l.Error == ErrorLame }

func timedOut(l Lookup) bool { return l.Failed() && l.Error == ErrorTimeout }
