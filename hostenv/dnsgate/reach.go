package dnsgate

import "slices"

// maxDepth limits the number of CNAMEs from zone to zone.
const maxDepth = 8

// leadToNode reports whether Let's Encrypt reaches the node with the answers of any
// two servers: A and AAAA may come from different ones.
func (s *subject) leadToNode(views []view) bool {
	torn := disagreement(views) == "CNAME"
	var some4, some6, none4, none6 bool // a server has addresses, a server has none
	var other4, dead6 bool              // a server has addresses that are not the node's, or that are dead
	ours4, ours6 := s.ours(s.node.v4), s.ours(s.node.v6)
	for _, v := range views {
		v4, v6, known := s.where(v, torn)
		if !known {
			return false
		}
		list4, list6 := v4.list.usable(), v6.list.usable()
		outside := list6.outside(ours6)
		if !s.allDead(outside) {
			return false
		}
		dead6 = dead6 || len(outside) > 0
		other4 = other4 || !list4.allIn(ours4)
		some4, none4 = some4 || len(list4) > 0, none4 || v4.known && len(list4) == 0
		some6, none6 = some6 || len(list6) > 0, none6 || v6.known && len(list6) == 0
	}
	return some6 && !none6 && !dead6 || some4 && !none4 && !other4
}

// where returns the addresses that a server leads to. If the servers disagree on the
// CNAME, the addresses of a CNAME into the same zone are not known: another server
// need not have its target.
func (s *subject) where(v view, torn bool) (v4, v6 answer, known bool) {
	v4, v6 = v.v4, v.v6
	if len(v.cname) > 0 && v.cname[0] != s.Node {
		far4, far6, far := s.addressesOf(v.cname[0], 0)
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
	if slices.Equal(v.cname4, []string{s.Node}) {
		v4 = answer{known: true, list: s.node.v4}
	}
	if slices.Equal(v.cname6, []string{s.Node}) {
		v6 = answer{known: true, list: s.node.v6}
	}
	return v4, v6, true
}

// ours returns the node's own addresses and those that a probe saw forward to it.
func (s *subject) ours(own addresses) addresses {
	own = slices.Clone(own)
	for a, p := range s.probes {
		if s.forwards(p, a) {
			own = append(own, a)
		}
	}
	return own
}

// mayLead reports whether each server by itself leads to the node, or may lead there
// because one of its addresses is the node's. It also accepts a majority of such
// servers if one of them has IPv6 addresses: Let's Encrypt then fails only if it asks
// a wrong server for both families, which may never happen.
func (s *subject) mayLead(views []view) bool {
	ours := slices.Concat(s.ours(s.node.v4), s.node.v6)
	for a, p := range s.probes {
		if s.alike(p) {
			ours = append(ours, a)
		}
	}
	away, six := 0, false
	for _, v := range views {
		v4, v6, known := s.where(v, false)
		list4, list6 := v4.list.usable(), v6.list.usable()
		dead := list6.filter(s.dead)
		some4, some6 := len(list4.in(ours)) > 0, len(list6.in(ours)) > 0
		if !known || !some6 && (len(list6) > len(dead) || !some4) {
			away++
		} else {
			six = six || some6
		}
	}
	return len(views) > 0 && (away == 0 || six && 2*away < len(views))
}

// addressesOf returns the addresses of a name in another zone. They are known if all
// servers of that zone agree.
func (s *subject) addressesOf(name string, depth int) (v4, v6 answer, known bool) {
	i := slices.IndexFunc(s.facts.Aliases, func(a AliasFacts) bool { return a.Name == name })
	if i < 0 || depth > maxDepth {
		return answer{}, answer{}, false
	}
	views := viewsOf(s.facts.Aliases[i].Servers)
	if len(views) == 0 || disagreement(views) != "" {
		return answer{}, answer{}, false
	}
	if v := views[0]; len(v.cname) > 0 && len(v.v4.list)+len(v.v6.list) == 0 {
		if v.cname[0] == s.Node {
			return answer{known: true, list: s.node.v4}, answer{known: true, list: s.node.v6}, true
		}
		return s.addressesOf(v.cname[0], depth+1)
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
