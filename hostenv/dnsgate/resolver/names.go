package resolver

import (
	"net"
	"net/netip"
	"strings"
)

// canonical is how names stand in facts: lower case, no final dot.
func canonical(name string) string {
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// sameName compares a name of a reply with one that is canonical.
func sameName(wire, name string) bool {
	return strings.EqualFold(strings.TrimSuffix(wire, "."), name)
}

// parent is the name without its first label, "" above a top-level domain.
func parent(name string) string {
	_, rest, _ := strings.Cut(name, ".")
	return rest
}

// within reports whether zone is the name or one above it.
func within(name, zone string) bool {
	return zone == "" || name == zone || strings.HasSuffix(name, "."+zone)
}

// labels are the name and all above it up to the top-level domain.
func labels(name string) []string {
	var all []string
	for ; name != ""; name = parent(name) {
		all = append(all, name)
	}
	return all
}

// addressText is an address as netip writes it: net writes ::ffff:192.0.2.1 as
// an IPv4 address, which an AAAA record does not hold.
func addressText(ip net.IP) string {
	addr, ok := netip.AddrFromSlice(ip)
	if !ok {
		return ip.String()
	}
	return addr.String()
}

// unescape undoes what the DNS library writes for bytes that a zone file would
// escape: facts hold the value as it is.
func unescape(value string) string {
	if !strings.Contains(value, `\`) {
		return value
	}
	var b strings.Builder
	for i := 0; i < len(value); i++ {
		if value[i] != '\\' || i+1 == len(value) {
			b.WriteByte(value[i])
			continue
		}
		i++
		if i+2 < len(value) && digit(value[i]) && digit(value[i+1]) && digit(value[i+2]) {
			b.WriteByte((value[i]-'0')*100 + (value[i+1]-'0')*10 + value[i+2] - '0')
			i += 2
			continue
		}
		b.WriteByte(value[i])
	}
	return b.String()
}

// recordable is a text of a server as a document can hold it: what is not UTF-8,
// and NUL, is U+FFFD, which is as malformed wherever its meaning matters.
func recordable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\ufffd"), "\x00", "\ufffd")
}

func digit(b byte) bool { return '0' <= b && b <= '9' }
