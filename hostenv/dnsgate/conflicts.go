package dnsgate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A conflict is a name for which name servers give different answers. It matters,
// because each of Let's Encrypt's perspectives asks another server.
type conflict struct {
	name, kind    string // the name, and the type of record
	views         []view
	contradicting []ServerFacts // servers that contradict themselves, if that may explain it
	effect        effect
}

// An effect is what a conflict means for the verdict.
type effect int

const (
	harmless       effect = iota // each answer leads to the node
	unimportant                  // the resolver has the node's IPv6, which is tried first
	inPart                       // each answer may lead to the node, or most do
	contradiction                // a server contradicts itself; the others agree
	tooLittleKnown               // the servers that answer in full agree
	needsNode                    // all answers may be the node's addresses, which are not known
	needsAAAA                    // no server answers for AAAA, which is tried first
	fatal                        // some perspective does not reach the node
)

// decides reports whether the conflict settles the verdict by itself. Others only
// prevent a pass, or a failure about where the name leads.
func (e effect) decides() bool { return e >= needsNode }

// doubtful reports whether another resolver may get another answer by chance.
func (e effect) doubtful() bool { return e == inPart || e == contradiction || e == tooLittleKnown }

// findConflicts returns the conflicts about the name and about the names in
// other zones that its CNAMEs lead to, up to the first one that decides.
func (s *subject) findConflicts() []conflict {
	var found []conflict
	look := func(name string, servers []ServerFacts) (decided bool) {
		views := viewsOf(servers)
		kind := disagreement(views)
		if kind == "" {
			return false
		}
		c := conflict{name: name, kind: kind, views: views}
		c.effect = s.effectOf(kind, views, servers)
		if c.effect == contradiction {
			c.contradicting = slices.DeleteFunc(slices.Clone(servers), func(f ServerFacts) bool { return !contradicts(f) })
		}
		found = append(found, c)
		return c.effect.decides()
	}
	if look(s.name, s.facts.Servers) {
		return found
	}
	if c, differs := s.glueConflict(); differs {
		found = append(found, c)
	}
	for _, alias := range s.ledTo() {
		// Every address that any server has for the node is the node's own.
		if alias.Name != s.Node && look(alias.Name, alias.Servers) {
			break
		}
	}
	return found
}

// ledTo returns the names in other zones that CNAMEs lead to, of the resolver and of servers
// that are not aside, sorted.
func (s *subject) ledTo() []AliasFacts {
	names := slices.Concat(s.facts.A.Chain, s.facts.AAAA.Chain)
	for _, l := range s.facts.CAA {
		names = append(names, l.Lookup.Chain...)
	}
	add := func(servers []ServerFacts) {
		for _, f := range servers {
			if f.aside() {
				continue
			}
			names = slices.Concat(names, f.CNAME.Targets, f.A.Chain, f.AAAA.Chain)
			for _, l := range f.CAA {
				names = append(names, l.Lookup.Chain...)
			}
		}
	}
	add(s.facts.Servers)
	aliases := slices.Clone(s.facts.Aliases)
	slices.SortFunc(aliases, func(a, b AliasFacts) int { return cmp.Compare(a.Name, b.Name) })
	var found []AliasFacts
	for more := true; more; {
		more = false
		aliases = slices.DeleteFunc(aliases, func(a AliasFacts) bool {
			if !slices.Contains(names, a.Name) {
				return false
			}
			found, more = append(found, a), true
			add(a.Servers)
			return true
		})
	}
	slices.SortFunc(found, func(a, b AliasFacts) int { return cmp.Compare(a.Name, b.Name) })
	return found
}

// glueConflict returns the conflict with servers at addresses that the parent zone's glue
// does not have. Some resolvers ask these after the first time, others never do.
func (s *subject) glueConflict() (c conflict, differs bool) {
	servers := slices.Clone(s.facts.Servers)
	some := false
	for i := range servers {
		some = some || servers[i].Unglued
		servers[i].Unglued = false
	}
	views := viewsOf(servers)
	kind := disagreement(views)
	if !some || kind == "" || s.leadToNode(views) {
		return conflict{}, false
	}
	return conflict{name: s.name, kind: kind, views: views, effect: inPart}, true
}

func (s *subject) effectOf(kind string, views []view, servers []ServerFacts) effect {
	switch {
	case s.leadToNode(views):
		return harmless
	case !s.node.v4Known || !s.node.v6Known:
		return needsNode
	case kind == "A" && !slices.ContainsFunc(views, func(v view) bool { return v.v6.known }):
		switch {
		case len(s.v6) > 0 && s.v6.allIn(s.node.v6):
			return unimportant
		case len(s.v6) > 0 || !clean(s.facts.AAAA):
			return needsAAAA
		}
	}
	if s.mayLead(views) {
		return inPart
	}
	sound := viewsOf(slices.DeleteFunc(slices.Clone(servers), unsound))
	switch {
	case slices.ContainsFunc(servers, func(f ServerFacts) bool { return f.Unglued }):
		return inPart // resolvers differ in which addresses of the servers they ask
	case disagreement(sound) != "" && !s.leadToNode(sound):
		return fatal
	case slices.ContainsFunc(servers, contradicts):
		return contradiction
	}
	return tooLittleKnown
}

// unsound reports whether a server does not answer for both families, or
// contradicts itself.
func unsound(f ServerFacts) bool { return !clean(f.A) || !clean(f.AAAA) || contradicts(f) }

// contradicts reports whether a server denies the name or the CNAME for one family,
// and has it for the other. Resolvers treat that in different ways, because some ask
// for A to learn about AAAA.
func contradicts(f ServerFacts) bool {
	first := func(l Lookup) string { return strings.Join(l.Chain[:min(1, len(l.Chain))], "") }
	return !f.aside() && clean(f.A) && clean(f.AAAA) &&
		((f.A.Outcome == OutcomeNXDomain) != (f.AAAA.Outcome == OutcomeNXDomain) || first(f.A) != first(f.AAAA))
}

// besideCNAME reports whether a server has a CNAME for one type, and an address without it
// for another. A resolver that got the CNAME follows it for every type: which address it
// has depends on what it asked first.
func besideCNAME(f ServerFacts) bool {
	alias := len(f.A.Chain)+len(f.AAAA.Chain) > 0 || len(f.CAA) > 0 && len(f.CAA[0].Lookup.Chain) > 0
	direct := func(l Lookup) bool { return clean(l) && len(l.Addresses) > 0 && len(l.Chain) == 0 }
	return !f.aside() && alias && (direct(f.A) || direct(f.AAAA))
}

// sawBesideCNAME returns the answers of the servers that besideCNAME reports.
func (s *subject) sawBesideCNAME() []Evidence {
	var seen []Evidence
	for _, f := range s.facts.Servers {
		if !besideCNAME(f) {
			continue
		}
		seen = append(seen, f.saw(s.name, "A", f.A), f.saw(s.name, "AAAA", f.AAAA))
		if len(f.CAA) > 0 && len(f.CAA[0].Lookup.Chain) > 0 {
			seen = append(seen, f.saw(f.CAA[0].Name, "CAA", f.CAA[0].Lookup))
		}
	}
	return sorted(seen)
}

// conflict returns the first conflict of an effect, nil if there is none.
func (s *subject) conflict(e effect) *conflict {
	if i := slices.IndexFunc(s.conflicts, func(c conflict) bool { return c.effect == e }); i >= 0 {
		return &s.conflicts[i]
	}
	return nil
}

func serversDifferHarmlessly(s *subject) []string {
	var warnings []string
	for _, c := range s.conflicts {
		if c.effect == harmless {
			warnings = append(warnings, fmt.Sprintf("%s: the name servers of %s disagree on %s, but all of them lead to the node", s.name, c.name, c.kind))
		}
	}
	return warnings
}

// doubt returns the effect of the first doubtful conflict, harmless if there is
// none.
func (s *subject) doubt() effect {
	for _, c := range s.conflicts {
		if c.effect.doubtful() {
			return c.effect
		}
	}
	return harmless
}

// sawDoubts returns the evidence of all doubtful conflicts.
func (s *subject) sawDoubts() []Evidence {
	var seen []Evidence
	for _, c := range s.conflicts {
		if c.effect.doubtful() {
			seen = append(seen, s.sawConflict(&c)...)
		}
	}
	return seen
}

// sawConflict returns the servers' answers for the type of record that they disagree
// on; if servers contradict themselves, only their answers.
func (s *subject) sawConflict(c *conflict) []Evidence {
	var seen []Evidence
	for _, f := range c.contradicting {
		seen = append(seen, f.saw(c.name, "A", f.A), f.saw(c.name, "AAAA", f.AAAA))
	}
	if len(seen) > 0 {
		return sorted(seen)
	}
	for _, v := range c.views {
		if saw := v.answer(c.kind); saw != "" {
			seen = append(seen, Evidence{Name: c.name, Type: c.kind, Server: v.server, Saw: saw})
		}
	}
	return append(sorted(seen), s.sawNode())
}
