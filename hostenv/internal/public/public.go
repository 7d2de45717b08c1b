// Package public tells the unicast addresses of the public Internet from all
// others, and makes dialers that connect to no other address.
//
// A customer chooses the addresses in their zones, the redirects of their web
// servers and the names of their name servers. The machine that deploys is inside
// the provider's network, so it must not connect to whatever they lead to.
// [Networks.Control] decides on the address itself, after every look-up and
// redirect, when the socket is about to connect.
package public

import (
	"fmt"
	"net/netip"
)

// A block is a range of addresses that are not public.
type block struct {
	prefix netip.Prefix
	use    string
	// listed is true for a block of the IANA special-purpose address registries,
	// and false for one that other RFCs set apart.
	listed bool
}

// blocks is the only table of addresses that are not public. The listed ones are
// those of https://www.iana.org/assignments/iana-ipv4-special-registry and
// iana-ipv6-special-registry (RFC 6890), as of 2025-10; a block inside another one
// is left out.
var blocks = []block{
	listed("0.0.0.0/8", "this network, RFC 791"),
	listed("10.0.0.0/8", "private use, RFC 1918"),
	listed("100.64.0.0/10", "shared address space, RFC 6598"),
	listed("127.0.0.0/8", "loopback, RFC 1122"),
	listed("169.254.0.0/16", "link local, RFC 3927"),
	listed("172.16.0.0/12", "private use, RFC 1918"),
	listed("192.0.0.0/24", "IETF protocol assignments, RFC 6890"),
	listed("192.0.2.0/24", "documentation, RFC 5737"),
	listed("192.31.196.0/24", "AS112, RFC 7535"),
	listed("192.52.193.0/24", "AMT, RFC 7450"),
	listed("192.88.99.0/24", "6to4 relay anycast, RFC 7526"),
	listed("192.168.0.0/16", "private use, RFC 1918"),
	listed("192.175.48.0/24", "direct delegation AS112, RFC 7534"),
	listed("198.18.0.0/15", "benchmarking, RFC 2544"),
	listed("198.51.100.0/24", "documentation, RFC 5737"),
	listed("203.0.113.0/24", "documentation, RFC 5737"),
	other("224.0.0.0/4", "multicast, RFC 5771"),
	listed("240.0.0.0/4", "reserved, RFC 1112"),

	listed("::/128", "unspecified, RFC 4291"),
	listed("::1/128", "loopback, RFC 4291"),
	listed("::ffff:0:0/96", "IPv4-mapped, RFC 4291"),
	other("::/96", "IPv4-compatible, RFC 4291"),
	listed("64:ff9b::/96", "IPv4-IPv6 translation, RFC 6052"),
	listed("64:ff9b:1::/48", "IPv4-IPv6 translation, RFC 8215"),
	listed("100::/64", "discard only, RFC 6666"),
	listed("100:0:0:1::/64", "dummy prefix, RFC 9780"),
	listed("2001::/23", "IETF protocol assignments, RFC 2928"),
	listed("2001:db8::/32", "documentation, RFC 3849"),
	listed("2002::/16", "6to4, RFC 3056"),
	listed("2620:4f:8000::/48", "direct delegation AS112, RFC 7534"),
	listed("3fff::/20", "documentation, RFC 9637"),
	listed("5f00::/16", "segment routing, RFC 9602"),
	listed("fc00::/7", "unique local, RFC 4193"),
	listed("fe80::/10", "link local, RFC 4291"),
	other("fec0::/10", "site local, RFC 3879"),
	other("ff00::/8", "multicast, RFC 4291"),
}

var (
	// unicast6 is the only part of IPv6 that IANA assigns addresses from.
	unicast6 = netip.MustParsePrefix("2000::/3")
	// nat64 are addresses of IPv4, as a machine without IPv4 sees them.
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
)

func listed(prefix, use string) block { return block{netip.MustParsePrefix(prefix), use, true} }
func other(prefix, use string) block  { return block{netip.MustParsePrefix(prefix), use, false} }

// Listed reports whether an address is in a block of the IANA special-purpose
// address registries.
func Listed(a netip.Addr) bool {
	a = a.WithZone("")
	for _, b := range blocks {
		if b.listed && b.prefix.Contains(a) {
			return true
		}
	}
	return false
}

// Use returns what an address that is not public is for, such as "loopback, RFC
// 1122", and "" for a public one. An address that stands for one of IPv4, as
// ::ffff:192.0.2.1 and 64:ff9b::192.0.2.1 do, is what the latter is.
func Use(a netip.Addr) string {
	a = a.WithZone("").Unmap()
	if nat64.Contains(a) {
		bytes := a.As16()
		a = netip.AddrFrom4([4]byte(bytes[12:]))
	}
	for _, b := range blocks {
		if b.prefix.Contains(a) {
			return b.use
		}
	}
	switch {
	case !a.IsValid():
		return "no address"
	case a.Is6() && !unicast6.Contains(a):
		return "not assigned, RFC 4291"
	}
	return ""
}

// Networks are those that may be dialled although they are not public. Only the
// provider names them.
type Networks []netip.Prefix

// Allow reports whether an address may be dialled.
func (n Networks) Allow(a netip.Addr) bool {
	a = a.WithZone("").Unmap()
	for _, prefix := range n {
		if prefix.Contains(a) {
			return true
		}
	}
	return Use(a) == ""
}

// Check returns an *Error for an address that must not be dialled.
func (n Networks) Check(a netip.Addr) error {
	if n.Allow(a) {
		return nil
	}
	return &Error{a}
}

// An Error refuses to connect to an address.
type Error struct{ Address netip.Addr }

func (e *Error) Error() string {
	return fmt.Sprintf("the address %s is not public (%s), and provider.privateNetworks does not have it", e.Address, Use(e.Address))
}
