package dnsgate

import "net/netip"

// reserved are the blocks of the IANA special-purpose address registries
// (https://www.iana.org/assignments/iana-ipv4-special-registry and
// iana-ipv6-special-registry, as of 2025-10). Let's Encrypt drops any address
// in them, even one that the registry calls globally reachable. The list omits a
// block inside another one.
var reserved = prefixes(
	"0.0.0.0/8",       // this network, RFC 791
	"10.0.0.0/8",      // private use, RFC 1918
	"100.64.0.0/10",   // shared address space, RFC 6598
	"127.0.0.0/8",     // loopback, RFC 1122
	"169.254.0.0/16",  // link local, RFC 3927
	"172.16.0.0/12",   // private use, RFC 1918
	"192.0.0.0/24",    // IETF protocol assignments, RFC 6890
	"192.0.2.0/24",    // documentation, RFC 5737
	"192.31.196.0/24", // AS112, RFC 7535
	"192.52.193.0/24", // AMT, RFC 7450
	"192.88.99.0/24",  // 6to4 relay anycast, RFC 7526
	"192.168.0.0/16",  // private use, RFC 1918
	"192.175.48.0/24", // direct delegation AS112, RFC 7534
	"198.18.0.0/15",   // benchmarking, RFC 2544
	"198.51.100.0/24", // documentation, RFC 5737
	"203.0.113.0/24",  // documentation, RFC 5737
	"240.0.0.0/4",     // reserved, RFC 1112

	"::/128",            // unspecified, RFC 4291
	"::1/128",           // loopback, RFC 4291
	"::ffff:0:0/96",     // IPv4-mapped, RFC 4291
	"64:ff9b::/96",      // IPv4-IPv6 translation, RFC 6052
	"64:ff9b:1::/48",    // IPv4-IPv6 translation, RFC 8215
	"100::/64",          // discard only, RFC 6666
	"100:0:0:1::/64",    // dummy prefix, RFC 9780
	"2001::/23",         // IETF protocol assignments, RFC 2928
	"2001:db8::/32",     // documentation, RFC 3849
	"2002::/16",         // 6to4, RFC 3056
	"2620:4f:8000::/48", // direct delegation AS112, RFC 7534
	"3fff::/20",         // documentation, RFC 9637
	"5f00::/16",         // segment routing, RFC 9602
	"fc00::/7",          // unique local, RFC 4193
	"fe80::/10",         // link local, RFC 4291
)

// IsReserved reports whether Let's Encrypt would drop an address, because it lies
// in a block of IANA's registries of special-purpose addresses.
func IsReserved(a netip.Addr) bool { return within(a.WithZone(""), reserved) }

func within(a netip.Addr, blocks []netip.Prefix) bool {
	for _, block := range blocks {
		if block.Contains(a) {
			return true
		}
	}
	return false
}

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}
