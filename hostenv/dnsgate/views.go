package dnsgate

import (
	"cmp"
	"slices"
	"strings"
)

// A view holds the answers of one authoritative server. A family without an answer is
// not known.
type view struct {
	server string // name and address
	cname  []string
	hasCN  bool // the CNAME question was answered
	v4, v6 answer

	cname4, cname6 []string // the CNAME of each family
	has4, has6     bool     // the questions for it were answered
}

// An answer is one family of a view.
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

// aside reports whether a resolver that begins at the parent zone does not ask a server:
// the parent does not name it, or has another address for its name.
func (f ServerFacts) aside() bool { return f.Undelegated || f.Unglued }

// viewsOf returns the views of the servers with an answer, in the order of their
// names. It omits servers that are aside.
func viewsOf(servers []ServerFacts) []view {
	servers = slices.Clone(servers)
	slices.SortFunc(servers, compareServers)
	var all []view
	for _, s := range servers {
		if s.aside() {
			continue
		}
		v := view{server: s.label()}
		if v.hasCN = s.CNAME.Asked() && !s.CNAME.Failed(); v.hasCN {
			v.cname = slices.Sorted(slices.Values(s.CNAME.Targets))
			if chain := slices.Concat(s.A.Chain, s.AAAA.Chain); len(v.cname) == 0 && len(chain) > 0 {
				v.cname = chain[:1:1] // for only one family
			}
			v.has4, v.has6 = clean(s.A), clean(s.AAAA)
		}
		v.cname4, v.cname6 = aliasOf(s.A, s.AAAA, v.cname), aliasOf(s.AAAA, s.A, v.cname)
		v.v4 = answered(s.A, !v.hasCN || len(v.cname4) > 0)
		v.v6 = answered(s.AAAA, !v.hasCN || len(v.cname6) > 0)
		if v.hasCN || v.v4.known || v.v6.known {
			all = append(all, v)
		}
	}
	return all
}

// aliasOf returns the CNAME of one family: the server's CNAME, unless only the answer
// for the other family has one.
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

// answered returns the answer for one family. A server that has, or may have, a CNAME
// need not have its target, so an answer without data then does not count.
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

// answer returns a server's answer for a type of record, "" for none.
func (v view) answer(kind string) string {
	switch {
	case kind == "A":
		return v.v4.String()
	case kind == "AAAA":
		return v.v6.String()
	case kind == "CNAME" && v.hasCN:
		return cmp.Or(strings.Join(v.cname, " "), "no CNAME")
	case kind == "CNAME for A" && v.has4:
		return cmp.Or(strings.Join(v.cname4, " "), "no CNAME")
	case kind == "CNAME for AAAA" && v.has6:
		return cmp.Or(strings.Join(v.cname6, " "), "no CNAME")
	}
	return ""
}

// disagreement returns the type of record that servers disagree on, "" if they
// agree.
func disagreement(views []view) string {
	for _, kind := range []string{"CNAME", "CNAME for A", "CNAME for AAAA", "A", "AAAA"} {
		first := ""
		for _, v := range views {
			answer := v.answer(kind)
			if first == "" {
				first = answer
			}
			if answer != "" && answer != first {
				kind, _, _ = strings.Cut(kind, " ")
				return kind
			}
		}
	}
	return ""
}
