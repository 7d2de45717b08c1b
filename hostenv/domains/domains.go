// Package domains tells which organisation a domain belongs to.
//
// DNS that leads to a shared node does not tell one customer from another. So a
// registrable domain belongs to an organisation that the provider names, or that
// publishes a TXT record with its [Token] at [Record]. All names below the domain
// are the organisation's. The package is pure.
package domains

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/publicsuffix"
)

// Registrable returns the domain that a customer registers, of a normalised host
// name or wildcard: www.shop.example.co.uk has example.co.uk. It returns "" for a
// public suffix and for a wildcard below one, which are no customer's.
func Registrable(host string) string {
	return publicsuffix.Registrable(strings.TrimPrefix(host, "*."))
}

// specialUse are the top-level domains that the DNS never has (RFC 6761, section 6).
var specialUse = []string{"example", "invalid", "localhost", "test"}

// IsSpecialUse reports whether a host name is below a domain that the DNS never has:
// it has no owner, and Let's Encrypt issues no certificate for it.
func IsSpecialUse(host string) bool {
	return slices.Contains(specialUse, host[strings.LastIndexByte(host, '.')+1:])
}

// Record returns the name of the TXT record that proves a domain.
func Record(domain string) string { return "_hostenv." + domain }

// Token returns the text of an organisation's TXT record at a provider, whose
// domain is hostenvHostname. It is no secret: only who controls the zone can
// publish it. It names one organisation of one provider, so a record that another
// customer, or a customer of another provider, was asked for proves nothing.
func Token(hostenvHostname, organisation string) string {
	sum := sha256.Sum256([]byte("hostenv-provider domain proof\x00" + hostenvHostname + "\x00" + organisation))
	return "hostenv-" + hex.EncodeToString(sum[:16])
}

// Owners are the organisations by domain.
type Owners map[string]string

// Of returns the organisation of a host name or wildcard, and the domain that says
// so: of several that cover the name, the longest. It returns "" for both if none
// does.
func (o Owners) Of(host string) (domain, organisation string) {
	for at := strings.TrimPrefix(host, "*."); at != ""; _, at, _ = strings.Cut(at, ".") {
		if organisation, ok := o[at]; ok {
			return at, organisation
		}
	}
	return "", ""
}

// Match returns which of organisations the TXT records of a domain name, sorted.
func Match(hostenvHostname string, organisations, records []string) []string {
	var proved []string
	for _, organisation := range organisations {
		if slices.Contains(records, Token(hostenvHostname, organisation)) {
			proved = append(proved, organisation)
		}
	}
	slices.Sort(proved)
	return slices.Compact(proved)
}
