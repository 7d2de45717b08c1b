package dnsgate

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// view is what one authoritative server says. A family that it was not asked
// about, or could not answer for, is not in it.
type view struct {
	server string // name and address
	cname  []string
	v4, v6 answer
	hasCN  bool // the CNAME question was answered

	cname4, cname6 []string // the one of each family
	has4, has6     bool     // the question for that was answered
}

// answer is one family of a view.
type answer struct {
	known   bool
	missing Outcome // nodata or nxdomain where there is no address
	list    addresses
}

func (a answer) String() string {
	switch {
	case !a.known:
		return ""
	case len(a.list) > 0:
		return a.list.String()
	default:
		return string(a.missing)
	}
}

// viewsOf are those of the servers that say anything, in their order. Servers
// that the zone's parent does not name are left out: nobody need meet them.
func viewsOf(servers []ServerFacts) []view {
	servers = slices.Clone(servers)
	slices.SortFunc(servers, compareServers)
	var all []view
	for _, s := range servers {
		if s.Undelegated {
			continue
		}
		v := view{server: strings.TrimSpace(s.Name + " " + s.Address)}
		if v.hasCN = s.CNAME.Asked() && !s.CNAME.Failed(); v.hasCN {
			v.cname = slices.Sorted(slices.Values(s.CNAME.Targets))
		}
		if chain := slices.Concat(s.A.Chain, s.AAAA.Chain); v.hasCN && len(v.cname) == 0 && len(chain) > 0 {
			v.cname = chain[:1:1] // for one family alone
		}
		v.has4, v.has6 = v.hasCN && clean(s.A), v.hasCN && clean(s.AAAA)
		v.cname4, v.cname6 = aliasOf(s.A, s.AAAA, v.cname), aliasOf(s.AAAA, s.A, v.cname)
		v.v4 = answered(s.A, !v.hasCN || len(v.cname4) > 0)
		v.v6 = answered(s.AAAA, !v.hasCN || len(v.cname6) > 0)
		if v.hasCN || v.v4.known || v.v6.known {
			all = append(all, v)
		}
	}
	return all
}

// aliasOf is the CNAME of one family: that of the server, unless only the other
// family came with one.
func aliasOf(l, other Lookup, server []string) []string {
	switch {
	case l.Failed():
		return nil
	case len(l.Chain) > 0:
		return l.Chain[:1:1]
	case len(other.Chain) > 0 && clean(l):
		return nil
	}
	return server
}

// answered reads a family. A server that answers with a CNAME, or may have one,
// need not have its target, so that no data says nothing there.
func answered(l Lookup, alias bool) answer {
	if !l.Asked() || l.Failed() {
		return answer{}
	}
	a := answer{known: true, missing: l.Outcome, list: parse(l.Addresses)}
	if alias && len(a.list) == 0 && l.Outcome != OutcomeNXDomain {
		return answer{}
	}
	return a
}

// inconsistent fails names whose servers disagree: each of Let's Encrypt's
// perspectives asks another one. A disagreement in which every answer leads to
// the node is none. The zones that CNAMEs lead to count as much.
func (t *trial) inconsistent() (Verdict, bool) {
	if v, decided := t.disagree(t.name, t.facts.Servers); decided {
		return v, true
	}
	aliases := slices.Clone(t.facts.Aliases)
	slices.SortFunc(aliases, func(a, b AliasFacts) int { return cmp.Compare(a.Name, b.Name) })
	for _, alias := range aliases {
		if alias.Name == t.Node {
			continue // a node has whatever any of its servers says
		}
		if v, decided := t.disagree(alias.Name, alias.Servers); decided {
			return v, true
		}
	}
	return Verdict{}, false
}

func (t *trial) disagree(name string, servers []ServerFacts) (Verdict, bool) {
	views := viewsOf(servers)
	kind := disagreement(views)
	if kind == "" {
		return Verdict{}, false
	}
	if t.leadToNode(views) {
		t.warn("the name servers of %s disagree on %s, and all of them lead to the node", name, kind)
		return Verdict{}, false
	}
	switch {
	case !t.node.v4Known || !t.node.v6Known:
		return t.nodeUnknown(), true // they may all be the node's
	case kind == "A" && !slices.ContainsFunc(views, func(v view) bool { return v.v6.known }):
		// IPv6 comes first, and no server could be asked for it.
		if len(t.v6) > 0 && t.v6.allIn(t.node.v6) {
			return Verdict{}, false
		}
		if !clean(t.facts.AAAA) || len(t.v6) > 0 {
			t.sawLookup("AAAA", t.facts.AAAA)
			return t.verdict(Unknown, ReasonLookupFailed), true
		}
	}
	sound := viewsOf(slices.DeleteFunc(slices.Clone(servers), doubtful))
	switch {
	case t.mayLead(views):
		t.doubts = append(t.doubts, doubt{name: name, kind: kind, views: views, reason: ReasonInPart})
		return Verdict{}, false
	case disagreement(sound) == "" || t.leadToNode(sound):
		d := doubt{name: name, kind: kind, views: views, reason: ReasonLookupFailed}
		d.contradicting = slices.DeleteFunc(slices.Clone(servers), func(s ServerFacts) bool { return !contradicts(s) })
		if len(d.contradicting) > 0 {
			d.reason = ReasonContradiction
		}
		t.doubts = append(t.doubts, d)
		return Verdict{}, false
	}
	t.sawViews(name, kind, views)
	return t.verdict(Fail, ReasonInconsistent), true
}

// A doubt is a disagreement of servers that convicts nobody: too little is known
// of them, they do not agree with themselves, or they may lead to the node.
type doubt struct {
	name, kind    string
	views         []view
	contradicting []ServerFacts
	reason        Reason
}

// doubtful reports whether a server does not answer for both families, or not
// to the same effect.
func doubtful(s ServerFacts) bool { return !clean(s.A) || !clean(s.AAAA) || contradicts(s) }

// contradicts reports whether a server denies for one family what it says for
// the other: that there is such a name, or a CNAME. What comes of it is the
// resolver's own affair, for some ask for A to find out about AAAA.
func contradicts(s ServerFacts) bool {
	first := func(l Lookup) string { return strings.Join(l.Chain[:min(1, len(l.Chain))], "") }
	return !s.Undelegated && clean(s.A) && clean(s.AAAA) &&
		((s.A.Outcome == OutcomeNXDomain) != (s.AAAA.Outcome == OutcomeNXDomain) || first(s.A) != first(s.AAAA))
}

// doubted takes a pass back because of doubts, and a failure that is about
// where the name leads.
func (t *trial) doubted() (Verdict, bool) {
	if len(t.doubts) == 0 {
		return Verdict{}, false
	}
	t.evidence = nil
	for _, d := range t.doubts {
		seen := len(t.evidence)
		for _, s := range d.contradicting {
			who := strings.TrimSpace(s.Name + " " + s.Address)
			t.sawOf(d.name, "A", who, describe(s.A))
			t.sawOf(d.name, "AAAA", who, describe(s.AAAA))
		}
		slices.SortStableFunc(t.evidence[seen:], compareEvidence)
		if len(d.contradicting) == 0 {
			t.sawViews(d.name, d.kind, d.views)
		}
	}
	return t.verdict(Unknown, t.doubts[0].reason), true
}

// unanswered takes a pass back where no server answers for one of the families,
// though they answer otherwise: resolvers then hold them for dead, and may lose
// everything else of the zone. So it does where there is a zone and no server.
func (t *trial) unanswered() (Verdict, bool) {
	t.evidence = nil
	if t.facts.Zone != "" && len(t.facts.Servers) == 0 {
		t.saw("NS", "", "no name server of "+t.facts.Zone+" was found")
		return t.verdict(Unknown, ReasonLookupFailed), true
	}
	// A resolver that waited in vain for one question may hold the server for
	// dead when the next one comes: so do those of Let's Encrypt, by luck.
	if late4, late6 := timedOut(t.facts.A), timedOut(t.facts.AAAA); late4 || late6 {
		if late4 {
			t.sawLookup("A", t.facts.A)
		}
		if late6 {
			t.sawLookup("AAAA", t.facts.AAAA)
		}
		return t.verdict(Unknown, ReasonLookupFailed), true
	}
	if t.stuck() || t.halfHeard() {
		return t.verdict(Unknown, ReasonLookupFailed), true
	}
	if t.deafToCAA() {
		return t.verdict(Unknown, ReasonCAALookupFailed), true
	}
	lost := func(l Lookup) bool { return timedOut(l) || l.Failed() && l.Error == ErrorLame }
	all4, all6, some := true, true, false
	for _, s := range t.facts.Servers {
		// What the resolver has all the same it has by a CNAME that it met when it
		// asked for something else.
		all4 = all4 && (lost(s.A) || s.A.Failed() && len(t.v4) > 0 && len(t.v6) == 0)
		all6 = all6 && (lost(s.AAAA) || s.AAAA.Failed() && len(t.v6) > 0)
		some = some || clean(s.A) || clean(s.AAAA) || clean(s.CNAME)
	}
	if !some || !all4 && !all6 {
		return Verdict{}, false
	}
	servers := slices.Clone(t.facts.Servers)
	slices.SortFunc(servers, compareServers)
	for _, s := range servers {
		who := strings.TrimSpace(s.Name + " " + s.Address)
		if all4 {
			t.saw("A", who, describe(s.A))
		}
		if all6 {
			t.saw("AAAA", who, describe(s.AAAA))
		}
	}
	slices.SortStableFunc(t.evidence, compareEvidence)
	return t.verdict(Unknown, ReasonLookupFailed), true
}

// stuck reports whether a server sends its askers from UDP to TCP and is silent
// there: a resolver that comes to ask it waits for longer than Let's Encrypt
// does. A server that is silent over UDP costs less: the next one is asked soon.
func (t *trial) stuck() bool {
	seen := len(t.evidence)
	look := func(name string, servers []ServerFacts) {
		for _, s := range servers {
			if s.Undelegated {
				continue
			}
			who := strings.TrimSpace(s.Name + " " + s.Address)
			tell := func(name, kind string, l Lookup) {
				if l.Truncated && timedOut(l) {
					t.sawOf(name, kind, who, describe(l))
				}
			}
			tell(name, "A", s.A)
			tell(name, "AAAA", s.AAAA)
			for _, caa := range s.CAA {
				tell(caa.Name, "CAA", caa.Lookup)
			}
		}
	}
	look(t.name, t.facts.Servers)
	for _, alias := range t.facts.Aliases {
		look(alias.Name, alias.Servers)
	}
	slices.SortStableFunc(t.evidence[seen:], compareEvidence)
	return len(t.evidence) > seen
}

// halfHeard reports whether a server has the zone and no answer for the name,
// where another has a CNAME to a name of that zone: it may well be asked for that.
func (t *trial) halfHeard() bool {
	inZone := func(v view) bool {
		return len(v.cname) > 0 && (v.cname[0] == t.facts.Zone || strings.HasSuffix(v.cname[0], "."+t.facts.Zone))
	}
	if t.facts.Zone == "" || !slices.ContainsFunc(viewsOf(t.facts.Servers), inZone) {
		return false
	}
	seen := len(t.evidence)
	for _, s := range t.facts.Servers {
		hasZone := slices.ContainsFunc(s.CAA, func(l CAALookup) bool { return clean(l.Lookup) })
		if !s.Undelegated && s.A.Failed() && s.AAAA.Failed() && hasZone {
			who := strings.TrimSpace(s.Name + " " + s.Address)
			t.saw("A", who, describe(s.A))
			t.saw("AAAA", who, describe(s.AAAA))
		}
	}
	slices.SortStableFunc(t.evidence[seen:], compareEvidence)
	return len(t.evidence) > seen
}

// deafToCAA reports whether no server that has the name answers for its CAA: what
// the resolver has all the same, it has by a CNAME that it met for an address.
func (t *trial) deafToCAA() bool {
	seen := len(t.evidence)
	for _, s := range t.facts.Servers {
		if s.Undelegated || !clean(s.A) && !clean(s.AAAA) && !clean(s.CNAME) {
			continue
		}
		if len(s.CAA) == 0 || !s.CAA[0].Lookup.Failed() {
			t.evidence = t.evidence[:seen]
			return false
		}
		t.sawOf(s.CAA[0].Name, "CAA", strings.TrimSpace(s.Name+" "+s.Address), describe(s.CAA[0].Lookup))
	}
	slices.SortStableFunc(t.evidence[seen:], compareEvidence)
	return len(t.evidence) > seen
}

func timedOut(l Lookup) bool { return l.Failed() && l.Error == ErrorTimeout }

// authorizedBySome fails names that a CAA set of one server forbids, while the
// resolver met another one. Each label may be asked of another server: the walk
// goes on from one if any server has nothing there.
func (t *trial) authorizedBySome() (Verdict, bool) {
	forbids := func(name string, s ServerFacts, l Lookup) {
		set := readCAA(l.CAA)
		if !s.Undelegated && l.Outcome == OutcomeAnswer && (len(set.critical) > 0 || permits(set.issue, t.AccountURI) == forbidden) {
			t.sawOf(name, "CAA", strings.TrimSpace(s.Name+" "+s.Address), describe(l))
		}
	}
	for at, goesOn := 0, true; goesOn; at++ {
		goesOn = false
		for _, s := range t.facts.Servers {
			if at < len(s.CAA) {
				l := s.CAA[at].Lookup
				forbids(s.CAA[at].Name, s, l)
				goesOn = goesOn || t.hasNoCAA(l, 0)
			}
		}
	}
	for _, alias := range t.facts.Aliases {
		for _, s := range alias.Servers {
			if len(s.CAA) > 0 { // the labels above it are not climbed
				forbids(s.CAA[0].Name, s, s.CAA[0].Lookup)
			}
		}
	}
	if len(t.evidence) == 0 {
		return Verdict{}, false
	}
	slices.SortFunc(t.evidence, compareEvidence)
	if disagreement(viewsOf(t.facts.Servers)) == "CNAME" {
		// Who met a CNAME for an address may go by its target for CAA too.
		return t.verdict(Unknown, ReasonInPart), true
	}
	if slices.ContainsFunc(t.facts.Servers, withoutAliasForCAA) {
		return t.verdict(Unknown, ReasonContradiction), true
	}
	return t.verdict(Fail, ReasonInconsistent), true
}

// withoutAliasForCAA reports whether a server has a CNAME for addresses, and for
// CAA denies it.
func withoutAliasForCAA(s ServerFacts) bool {
	return !s.Undelegated && len(s.A.Chain)+len(s.AAAA.Chain) > 0 && len(s.CAA) > 0 &&
		clean(s.CAA[0].Lookup) && len(s.CAA[0].Lookup.Chain)+len(s.CAA[0].Lookup.CAA) == 0
}

// hasNoCAA reports whether a lookup at a server says that there is no CAA set;
// of a CNAME into another zone, some server of that has to say so.
func (t *trial) hasNoCAA(l Lookup, depth int) bool {
	if !clean(l) || len(l.CAA) > 0 {
		return false
	}
	if len(l.Chain) == 0 {
		return true
	}
	end := l.Chain[len(l.Chain)-1]
	i := slices.IndexFunc(t.facts.Aliases, func(a AliasFacts) bool { return a.Name == end })
	if i < 0 || depth > 8 {
		return i < 0 && (t.facts.Zone == "" || end == t.facts.Zone || strings.HasSuffix(end, "."+t.facts.Zone))
	}
	return slices.ContainsFunc(t.facts.Aliases[i].Servers, func(s ServerFacts) bool {
		return !s.Undelegated && len(s.CAA) > 0 && t.hasNoCAA(s.CAA[0].Lookup, depth+1)
	})
}

func compareEvidence(a, b Evidence) int {
	return cmp.Or(strings.Compare(a.Server, b.Server), strings.Compare(a.Type, b.Type), strings.Compare(a.Saw, b.Saw))
}

func (t *trial) sawViews(name, kind string, views []view) {
	seen := len(t.evidence)
	for _, v := range views {
		switch {
		case kind == "CNAME" && v.hasCN:
			saw := strings.Join(v.cname, " ")
			if saw == "" {
				saw = "no CNAME"
			}
			t.sawOf(name, kind, v.server, saw)
		case kind == "A" && v.v4.known:
			t.sawOf(name, kind, v.server, v.v4.String())
		case kind == "AAAA" && v.v6.known:
			t.sawOf(name, kind, v.server, v.v6.String())
		}
	}
	slices.SortStableFunc(t.evidence[seen:], compareEvidence)
	t.sawNode()
}

// disagreement returns the type of record that servers disagree on, "" if they
// are of one mind.
func disagreement(views []view) string {
	said := map[string]map[string]bool{"A": {}, "AAAA": {}, "CNAME": {}, "CNAME for A": {}, "CNAME for AAAA": {}}
	for _, v := range views {
		if v.has4 {
			said["CNAME for A"][strings.Join(v.cname4, " ")] = true
		}
		if v.has6 {
			said["CNAME for AAAA"][strings.Join(v.cname6, " ")] = true
		}
		if v.hasCN {
			said["CNAME"][strings.Join(v.cname, " ")] = true
		}
		if v.v4.known {
			said["A"][v.v4.String()] = true
		}
		if v.v6.known {
			said["AAAA"][v.v6.String()] = true
		}
	}
	for _, kind := range []string{"CNAME", "CNAME for A", "CNAME for AAAA", "A", "AAAA"} {
		if len(said[kind]) > 1 {
			kind, _, _ = strings.Cut(kind, " ")
			return kind
		}
	}
	return ""
}

// leadToNode reports whether Let's Encrypt reaches the node whichever servers
// it asks: A and AAAA may come from different ones.
func (t *trial) leadToNode(views []view) bool {
	torn := disagreement(views) == "CNAME"
	var some4, some6, none4, none6 bool // a server that has some, one that has none
	var other4, dead6 bool              // one that has another than the node's, one that has dead ones
	ours4, ours6 := t.ours(t.node.v4), t.ours(t.node.v6)
	for _, v := range views {
		v4, v6, known := t.where(v, torn)
		if !known {
			return false
		}
		list4, list6 := v4.list.usable(), v6.list.usable()
		outside := list6.outside(ours6)
		if !t.dead(outside) {
			return false
		}
		dead6 = dead6 || len(outside) > 0
		other4 = other4 || !list4.allIn(ours4)
		some4, none4 = some4 || len(list4) > 0, none4 || v4.known && len(list4) == 0
		some6, none6 = some6 || len(list6) > 0, none6 || v6.known && len(list6) == 0
	}
	return some6 && !none6 && !dead6 || some4 && !none4 && !other4
}

// where returns the addresses that a server leads to; not known are those of a
// CNAME into its own zone, if torn, for another server need not have its target.
func (t *trial) where(v view, torn bool) (v4, v6 answer, known bool) {
	v4, v6 = v.v4, v.v6
	if len(v.cname) > 0 && v.cname[0] != t.Node {
		far4, far6, far := t.aliasSays(v.cname[0], 0)
		switch {
		case far:
			if len(v.cname4) > 0 || !v.has4 {
				v4 = far4
			}
			if len(v.cname6) > 0 || !v.has6 {
				v6 = far6
			}
		case torn || len(v4.list)+len(v6.list) == 0:
			return answer{}, answer{}, false
		}
	}
	if slices.Equal(v.cname4, []string{t.Node}) {
		v4 = answer{known: true, list: t.node.v4}
	}
	if slices.Equal(v.cname6, []string{t.Node}) {
		v6 = answer{known: true, list: t.node.v6}
	}
	return v4, v6, true
}

// ours are the node's addresses and those that were seen to forward to it.
func (t *trial) ours(own addresses) addresses {
	own = slices.Clone(own)
	for a, p := range t.probes() {
		if forwarded(p, a) {
			own = append(own, a)
		}
	}
	return own
}

// mayLead reports whether every server by itself leads to the node, or may do
// so, as where one of several addresses is the node's; or most of them do, by
// IPv6 too, so that a wrong one has to be met for both families. Then a failure
// is a matter of what is asked of whom, and may be too rare ever to be met.
func (t *trial) mayLead(views []view) bool {
	ours := slices.Concat(t.ours(t.node.v4), t.node.v6)
	if t.facts.Live != nil {
		for a, p := range t.probes() {
			if answersAlike(p, t.facts.Live.Own) {
				ours = append(ours, a)
			}
		}
	}
	away, six := 0, false
	for _, v := range views {
		v4, v6, known := t.where(v, false)
		list4, list6 := v4.list.usable(), v6.list.usable()
		dead := list6.filter(func(a netip.Addr) bool { return t.dead(addresses{a}) })
		some4, some6 := len(list4.in(ours)) > 0, len(list6.in(ours)) > 0
		if !known || !some6 && (len(list6) > len(dead) || !some4) {
			away++
		} else {
			six = six || some6
		}
	}
	return len(views) > 0 && (away == 0 || six && 2*away < len(views))
}

// aliasSays is what a name in another zone has, by all of that zone's servers.
func (t *trial) aliasSays(name string, depth int) (v4, v6 answer, known bool) {
	i := slices.IndexFunc(t.facts.Aliases, func(a AliasFacts) bool { return a.Name == name })
	if i < 0 || depth > 8 {
		return answer{}, answer{}, false
	}
	views := viewsOf(t.facts.Aliases[i].Servers)
	if len(views) == 0 || disagreement(views) != "" {
		return answer{}, answer{}, false
	}
	if v := views[0]; len(v.cname) > 0 && len(v.v4.list)+len(v.v6.list) == 0 {
		if v.cname[0] == t.Node {
			return answer{known: true, list: t.node.v4}, answer{known: true, list: t.node.v6}, true
		}
		return t.aliasSays(v.cname[0], depth+1)
	}
	for _, v := range views {
		if v.v4.known {
			v4 = v.v4
		}
		if v.v6.known {
			v6 = v.v6
		}
	}
	return v4, v6, v4.known || v6.known
}

// serversAgreeOnNode reports whether the zone's servers, asked directly, are of
// one mind and lead to the node.
func (t *trial) serversAgreeOnNode() bool {
	views := viewsOf(t.facts.Servers)
	return len(views) > 0 && disagreement(views) == "" && t.leadToNode(views)
}

// Renew replaces what the resolver says of a name by what its zone's servers
// say, if these are of one mind and lead to the node of that name in DNS. It is
// for who has just written the name: the resolver was asked before, and may
// remember for hours that there is no such name. It reports whether it did.
func (f *Facts) Renew(name, node string) bool {
	facts := f.Names[name]
	if facts == nil {
		return false
	}
	t := &trial{Request: Request{Node: node}, name: name, facts: facts, node: publishedBy(f.Nodes[node])}
	if len(t.node.all()) == 0 || !t.serversAgreeOnNode() {
		return false
	}
	facts.A = Lookup{Outcome: OutcomeNoData, Addresses: texts(t.node.v4), Chain: []string{node}}
	facts.AAAA = Lookup{Outcome: OutcomeNoData, Addresses: texts(t.node.v6), Chain: []string{node}}
	for _, l := range []*Lookup{&facts.A, &facts.AAAA} {
		if len(l.Addresses) > 0 {
			l.Outcome = OutcomeAnswer
		}
	}
	return true
}
