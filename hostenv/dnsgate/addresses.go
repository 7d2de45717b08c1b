package dnsgate

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// addresses is a sorted set of addresses.
type addresses []netip.Addr

// parse returns the addresses in texts, each once. It ignores other texts.
func parse(lists ...[]string) addresses {
	var all addresses
	for _, list := range lists {
		for _, text := range list {
			if a, err := netip.ParseAddr(text); err == nil {
				all = append(all, a)
			}
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// usable returns the addresses that Let's Encrypt would try.
func (list addresses) usable() addresses {
	return list.filter(func(a netip.Addr) bool { return !IsReserved(a) })
}

func (list addresses) in(set addresses) addresses {
	return list.filter(func(a netip.Addr) bool { return slices.Contains(set, a) })
}

func (list addresses) outside(set addresses) addresses {
	return list.filter(func(a netip.Addr) bool { return !slices.Contains(set, a) })
}

func (list addresses) allIn(set addresses) bool { return len(list.outside(set)) == 0 }

func (list addresses) filter(keep func(netip.Addr) bool) addresses {
	var kept addresses
	for _, a := range list {
		if keep(a) {
			kept = append(kept, a)
		}
	}
	return kept
}

func (list addresses) String() string { return strings.Join(texts(list), " ") }

// published holds the addresses of a node. A family whose lookup failed is not known,
// which differs from empty.
type published struct {
	v4, v6           addresses
	v4Known, v6Known bool
}

func (p published) all() addresses { return slices.Concat(p.v4, p.v6) }

// publishedBy returns the addresses that the authoritative servers of the node's zone
// have. It takes the resolver's answer if no server has an address (because the
// node's name is a CNAME into another zone), and for a family that no server answers.
func publishedBy(node *NodeFacts) published {
	var p published
	if node == nil {
		return p
	}
	for _, s := range node.Servers {
		p.v4 = parse(texts(p.v4), s.A.Addresses)
		p.v6 = parse(texts(p.v6), s.AAAA.Addresses)
		p.v4Known = p.v4Known || clean(s.A)
		p.v6Known = p.v6Known || clean(s.AAAA)
	}
	empty := len(p.v4)+len(p.v6) == 0
	if empty || !p.v4Known {
		p.v4, p.v4Known = parse(node.A.Addresses), clean(node.A)
	}
	if empty || !p.v6Known {
		p.v6, p.v6Known = parse(node.AAAA.Addresses), clean(node.AAAA)
	}
	return p
}

// NodeAddresses returns the addresses of a node, by its name in DNS.
func (f *Facts) NodeAddresses(name string) []netip.Addr { return publishedBy(f.Nodes[name]).all() }

func texts(list addresses) []string {
	out := make([]string, len(list))
	for i, a := range list {
		out[i] = a.String()
	}
	return out
}

// clean reports whether a lookup is evidence about the zone. A loop of CNAMEs is: no
// client finds an address at its end.
func clean(l Lookup) bool {
	return l.Asked() && (!l.Failed() || l.Error == ErrorLoop)
}

// bogus reports whether a lookup failed because of invalid signatures: it has an
// extended error that only validation gives (RFC 8914 section 4).
func bogus(l Lookup) bool {
	return l.Failed() && slices.ContainsFunc(l.EDE, func(code int) bool {
		return code == 1 || code == 2 || 5 <= code && code <= 12
	})
}

func compareServers(a, b ServerFacts) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Address, b.Address))
}
