package resolver

import (
	"net"
	"net/netip"
	"strings"
)

// canonical returns a name as facts have it: lower case, no final dot.
func canonical(name string) string {
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// sameName compares a name of a reply with a canonical name.
func sameName(wire, name string) bool {
	return strings.EqualFold(strings.TrimSuffix(wire, "."), name)
}

// parent returns the name without its first label, "" above a top-level domain.
func parent(name string) string {
	_, rest, _ := strings.Cut(name, ".")
	return rest
}

// within reports whether zone is the name or a name above it.
func within(name, zone string) bool {
	return zone == "" || name == zone || strings.HasSuffix(name, "."+zone)
}

// labels returns the name and all names above it, up to the top-level domain.
func labels(name string) []string {
	var all []string
	for ; name != ""; name = parent(name) {
		all = append(all, name)
	}
	return all
}

// addressText returns an address as netip writes it. Package net writes
// ::ffff:192.0.2.1 as an IPv4 address, which an AAAA record cannot hold.
func addressText(ip net.IP) string {
	addr, ok := netip.AddrFromSlice(ip)
	if !ok {
		return ip.String()
	}
	return addr.String()
}

// unescape removes the escapes that the DNS library writes for a zone file: facts
// hold the bytes of the value.
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

// recordable returns a server's text as a JSON document can hold it, with U+FFFD
// in place of NUL and of bytes that are not UTF-8. A value that has one of these is
// malformed before and after.
func recordable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\ufffd"), "\x00", "\ufffd")
}

func digit(b byte) bool { return '0' <= b && b <= '9' }
