package names

import (
	"errors"
	"net/netip"
	"regexp"
	"strings"
)

// An Address is where ssh reaches a node: a [Host] that is not a wildcard, an
// IPv4 address, or an IPv6 address in the spelling of RFC 5952, with or without
// a zone.
type Address string

// zone is the name or number of a network interface.
var zone = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$`)

// ParseAddress returns the one spelling of an address.
func ParseAddress(s string) (Address, error) {
	if ip, err := netip.ParseAddr(s); err == nil {
		if ip.Zone() != "" && !zone.MatchString(ip.Zone()) {
			return "", errors.New("its zone is not the name of a network interface")
		}
		return Address(ip.String()), nil
	}
	host, err := ParseHost(s)
	if err != nil || host.Wildcard() {
		return "", errors.New("it is neither a host name nor an IP address")
	}
	return Address(host), nil
}

// SSH returns the value of ssh's HostName: ssh expands "%", which begins the zone
// of an IPv6 address. nix/lib/address.nix has this and Deploy as well.
func (a Address) SSH() string { return strings.ReplaceAll(string(a), "%", "%%") }

// Deploy returns the hostname of a node in deploy-rs's terms. deploy-rs puts it
// into the URI of a Nix store, which takes no bare IPv6 address: of one it is the
// node's name, and ssh's HostName must say the address.
func (a Address) Deploy(node string) string {
	if strings.Contains(string(a), ":") {
		return node
	}
	return string(a)
}
