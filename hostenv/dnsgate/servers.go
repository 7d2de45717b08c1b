package dnsgate

import (
	"cmp"
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

// views are those of the servers that say anything, in their order.
func (t *trial) views() []view {
	servers := slices.Clone(t.facts.Servers)
	slices.SortFunc(servers, compareServers)
	var all []view
	for _, s := range servers {
		v := view{server: strings.TrimSpace(s.Name + " " + s.Address)}
		if v.hasCN = s.CNAME.Asked() && !s.CNAME.Failed(); v.hasCN {
			v.cname = slices.Sorted(slices.Values(s.CNAME.Targets))
		}
		v.v4 = answered(s.A, !v.hasCN || len(v.cname) > 0)
		v.v6 = answered(s.AAAA, !v.hasCN || len(v.cname) > 0)
		if v.hasCN || v.v4.known || v.v6.known {
			all = append(all, v)
		}
	}
	return all
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
// the node is none.
func (t *trial) inconsistent() (Verdict, bool) {
	views := t.views()
	kind := disagreement(views)
	if kind == "" {
		return Verdict{}, false
	}
	if t.leadToNode(views) {
		t.warn("its name servers disagree on %s, and all of them lead to the node", kind)
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
		if !clean(t.facts.AAAA) {
			t.sawLookup("AAAA", t.facts.AAAA)
			return t.verdict(Unknown, ReasonLookupFailed), true
		}
	}
	t.sawViews(kind, views)
	return t.verdict(Fail, ReasonInconsistent), true
}

func (t *trial) sawViews(kind string, views []view) {
	seen := len(t.evidence)
	for _, v := range views {
		switch {
		case kind == "CNAME" && v.hasCN:
			saw := strings.Join(v.cname, " ")
			if saw == "" {
				saw = "no CNAME"
			}
			t.saw(kind, v.server, saw)
		case kind == "A" && v.v4.known:
			t.saw(kind, v.server, v.v4.String())
		case kind == "AAAA" && v.v6.known:
			t.saw(kind, v.server, v.v6.String())
		}
	}
	slices.SortStableFunc(t.evidence[seen:], func(a, b Evidence) int {
		return cmp.Or(strings.Compare(a.Server, b.Server), strings.Compare(a.Saw, b.Saw))
	})
	t.sawNode()
}

// disagreement returns the type of record that servers disagree on, "" if they
// are of one mind.
func disagreement(views []view) string {
	said := map[string]map[string]bool{"A": {}, "AAAA": {}, "CNAME": {}}
	for _, v := range views {
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
	for _, kind := range []string{"CNAME", "A", "AAAA"} {
		if len(said[kind]) > 1 {
			return kind
		}
	}
	return ""
}

// leadToNode reports whether Let's Encrypt reaches the node whichever servers
// it asks: A and AAAA may come from different ones.
func (t *trial) leadToNode(views []view) bool {
	var some4, some6, none4, none6 bool // a server that has some, one that has none
	var other4 bool                     // one that has another than the node's
	for _, v := range views {
		v4, v6 := v.v4, v.v6
		if len(v.cname) > 0 && !v4.known && !v6.known {
			if !slices.Equal(v.cname, []string{t.Node}) {
				return false
			}
			v4, v6 = answer{known: true, list: t.node.v4}, answer{known: true, list: t.node.v6}
		}
		list4, list6 := v4.list.usable(), v6.list.usable()
		if !list6.allIn(t.node.v6) {
			return false
		}
		other4 = other4 || !list4.allIn(t.node.v4)
		some4, none4 = some4 || len(list4) > 0, none4 || v4.known && len(list4) == 0
		some6, none6 = some6 || len(list6) > 0, none6 || v6.known && len(list6) == 0
	}
	return some6 && !none6 || some4 && !none4 && !other4
}

// serversAgreeOnNode reports whether the zone's servers, asked directly, are of
// one mind and lead to the node.
func (t *trial) serversAgreeOnNode() bool {
	views := t.views()
	return len(views) > 0 && disagreement(views) == "" && t.leadToNode(views)
}
