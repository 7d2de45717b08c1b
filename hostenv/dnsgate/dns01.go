package dnsgate

import (
	"net/netip"
	"slices"
	"strings"
)

// A certificate with a wildcard is ordered by DNS-01: the node writes a record into the
// zone at Cloudflare, and Let's Encrypt asks the zone's name servers for it. So where
// the names lead does not matter.

// cloudflareServers are the domains of the names that Cloudflare gives to name servers.
var cloudflareServers = []string{".ns.cloudflare.com", ".foundationdns.com", ".foundationdns.net", ".foundationdns.org"}

// atCloudflare reports whether a name server is known to be Cloudflare's, by its name or,
// if the customer gave it a name of their own, by its address.
func (f *ServerFacts) atCloudflare() bool {
	at, err := netip.ParseAddrPort(f.Address)
	return err == nil && within(at.Addr().Unmap(), Proxies) ||
		slices.ContainsFunc(cloudflareServers, func(domain string) bool { return strings.HasSuffix(f.Name, domain) })
}

// sawNoZone returns evidence if it is not known which name servers the zone has.
func (s *subject) sawNoZone() []Evidence {
	if s.facts.Zone != "" && len(s.facts.Servers) > 0 {
		return nil
	}
	return []Evidence{s.saw("NS", "", "no name servers are known")}
}

// sawServersElsewhere returns the name servers that are not known to be Cloudflare's.
func (s *subject) sawServersElsewhere() []Evidence {
	return s.sawNameServers(func(f *ServerFacts) bool { return !f.atCloudflare() })
}

// sawZone returns the name servers of the zone.
func (s *subject) sawZone() []Evidence {
	return s.sawNameServers(func(*ServerFacts) bool { return true })
}

func (s *subject) sawNameServers(keep func(*ServerFacts) bool) []Evidence {
	var seen []Evidence
	for i := range s.facts.Servers {
		if f := &s.facts.Servers[i]; keep(f) {
			seen = append(seen, Evidence{Name: s.facts.Zone, Type: "NS", Saw: f.label()})
		}
	}
	return sorted(seen)
}
