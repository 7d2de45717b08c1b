package plan

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/domains"
	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/names"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// A Wildcard is a certificate with a wildcard among its names, which a node orders by
// records in DNS (the challenge DNS-01) through Cloudflare. There are two kinds: that of
// generated host names, on each node that has some (provider.wildcard.enable), and one of
// each virtual host of a customer that has a wildcard among its names
// (provider.wildcard.zones).
type Wildcard struct {
	Node string `json:"node"`
	// Certificate is the certificate's name in security.acme.certs of NixOS, and
	// useACMEHost of the virtual hosts that use it. It is unique.
	Certificate string `json:"certificate"`
	// Names are the names in the certificate, sorted.
	Names []string `json:"names"`
	// APITokenSecret is the key in the sops file that holds the token of Cloudflare's API.
	APITokenSecret string `json:"apiTokenSecret"`

	Carried Carried `json:",inline"`
}

// WildcardOptions are provider.wildcard.
type WildcardOptions struct {
	// Generated is the key of the token for generated host names, "" if each of them has a
	// certificate of its own.
	Generated string
	// Zones are the keys of the tokens of customers' zones, by domain.
	Zones map[string]string
}

const (
	// wildcardPrefix makes the name of a certificate: no host name has an underscore, and
	// NixOS names units and folders by it, so it has no asterisk.
	wildcardPrefix = "_wildcard."
	// nodeSuffix makes a name of the node below hostenvHostname, but not one label below:
	// Let's Encrypt refuses a name that a wildcard of the same certificate covers.
	nodeSuffix = ".certificate."
)

// IsWildcardCertificate reports whether a node's certificate is a [Wildcard], by its name
// in security.acme.certs.
func IsWildcardCertificate(name string) bool { return strings.HasPrefix(name, wildcardPrefix) }

// WildcardCertificate returns the name of the certificate by DNS-01 of a virtual host, or
// of generated host names for hostenvHostname.
func WildcardCertificate(host string) string {
	return wildcardPrefix + strings.Replace(host, "*", "_", 1)
}

// GeneratedWildcard returns the wildcard over generated host names, and the name of its
// certificate.
func GeneratedWildcard(hostenvHostname string) (domain, certificate string) {
	return "*." + hostenvHostname, WildcardCertificate(hostenvHostname)
}

// Covers reports whether a certificate with a wildcard serves all names.
func Covers(wildcard string, all []string) bool {
	for _, name := range all {
		label, ok := strings.CutSuffix(strings.ToLower(name), wildcard[1:])
		if !ok || label == "" || strings.ContainsAny(label, ".*") {
			return false
		}
	}
	return true
}

// secretKey matches a key of the sops file, of the first or the second level.
var secretKey = regexp.MustCompile(`^[^/]+(/[^/]+)?$`)

// wildcard reads provider.wildcard.
func (r *reader) wildcard(from canonjson.Object, hostenvHostname string) WildcardOptions {
	const where = "provider.wildcard"
	options := r.optionalObject(from, "provider", "wildcard")
	r.options(options, where, "enable", "apiTokenSecret", "zones")
	w := WildcardOptions{Zones: map[string]string{}}
	secret := r.tokenSecret(options, where, r.boolean(options, where, "enable", false), "nodes need a token of Cloudflare's API to order the certificate")
	if r.boolean(options, where, "enable", false) {
		w.Generated = secret
	}
	for name, object := range r.members(options, where, "zones") {
		at := where + ".zones." + quoteAttribute(name)
		r.options(object, at, "apiTokenSecret")
		secret := r.tokenSecret(object, at, true, "nodes need a token of Cloudflare's API that edits the zone")
		host, err := names.ParseHost(name)
		zone := string(host)
		switch {
		case err != nil:
			r.wrong(at, "", "is no domain: %v", err)
		case host.Wildcard():
			r.remedied(at, "", "write the domain alone: it covers all names below it", "is a wildcard")
		case hostenvHostname != "" && (belowProvider(zone, hostenvHostname) || belowProvider(hostenvHostname, zone)):
			r.remedied(at, "", "remove it: provider.wildcard.enable = true orders a certificate for generated names",
				"is at, above or below provider.hostenvHostname, %s, which is no customer's", hostenvHostname)
		case domains.Registrable(zone) == "":
			r.remedied(at, "", "name the domain that the customer registered", "is a public suffix, below which anyone registers names")
		default:
			if _, twice := w.Zones[zone]; twice {
				r.remedied(at, "", "remove one of the two", "is the same domain as another entry")
			}
			w.Zones[zone] = secret
		}
	}
	return w
}

// tokenSecret reads the key of a token in the sops file.
func (r *reader) tokenSecret(from canonjson.Object, where string, needed bool, why string) string {
	const option, remedy = "apiTokenSecret", `name the key of the sops file that holds the token, as in "cloudflare/acme_token"`
	secret := r.text(from, where, option, "")
	switch {
	case secret == "" && needed:
		r.remedied(where, option, remedy, "is not set, and %s", why)
	case secret != "" && !secretKey.MatchString(secret):
		r.remedied(where, option, remedy, "is no key of the first or the second level")
	}
	return secret
}

// nameOf is a name that a node's certificate of generated names has beside the wildcard.
// With it the certificates of two nodes have different sets of names: Let's Encrypt
// issues 5 certificates of one set in a week.
func nameOf(node, hostenvHostname string) string { return node + nodeSuffix + hostenvHostname }

// check refuses nodes whose name in the certificate of generated names is no host name.
func (w WildcardOptions) check(r *reader, hostenvHostname string, nodes map[string]*NodeOptions) {
	if w.Generated == "" || hostenvHostname == "" { // that is missing, or refused
		return
	}
	for node := range nodes {
		name := nameOf(node, hostenvHostname)
		if _, err := names.ParseHost(name); err != nil {
			r.wrong("provider.wildcard", "", "gives the node %s the name %s, which is refused: %v", quoteAttribute(node), name, err)
		}
	}
}

// foreignZones refuses zones of provider.wildcard that are no organisation's: their
// tokens are for the virtual hosts of one.
func (c *computation) foreignZones(owners domains.Owners) {
	for _, zone := range slices.Sorted(maps.Keys(c.inv.Provider.Wildcard.Zones)) {
		if _, organisation := owners.Of(zone); organisation == "" {
			c.errs.Addf("provider.wildcard.zones."+quoteAttribute(zone),
				fmt.Sprintf("set provider.domains.%s to the organisation; or let its owner publish the TXT record that `mage domains` prints, and run `mage plan` again", quoteAttribute(zone)),
				"is a domain that is not known to be an organisation's")
		}
	}
}

// zoneOf returns the zone of a host name or wildcard: of several, the longest. It returns
// "" if there is none.
func (w WildcardOptions) zoneOf(name string) string {
	zone, _ := domains.Owners(w.Zones).Of(name)
	return zone
}

// needsDNS reports whether a certificate of a virtual host has to be ordered by DNS-01.
func needsDNS(host string, all []string) bool {
	return slices.ContainsFunc(append([]string{host}, all...), func(name string) bool { return strings.HasPrefix(name, "*.") })
}

// certify returns a virtual host with the certificate that its environment gets: one of
// its own by HTTP-01, that of generated names, one of its zone, or none, after a warning.
// It judges the options as they are now, also for what stays of the last plan.
func (c *computation) certify(e *placed, host string, v VirtualHost, owners domains.Owners) VirtualHost {
	tls := v.TLS()
	if !tls.EnableACME && tls.Shared == "" {
		return v
	}
	p := &c.inv.Provider
	all := v.CertificateNames(host)
	generated, shared := GeneratedWildcard(p.HostenvHostname)
	switch {
	case needsDNS(host, all):
		if why, hint := p.withoutZone(owners, e.Organisation, host, all); why != "" {
			tls = TLS{}
			if e.last == nil {
				c.warnWithoutTLS(e, host, v, why, hint)
			}
			break
		}
		tls.EnableACME, tls.Shared = false, WildcardCertificate(host)
	case p.Wildcard.Generated != "" && Covers(generated, all):
		tls.EnableACME, tls.Shared = false, shared
	default:
		tls.EnableACME, tls.Shared = true, ""
	}
	return v.WithTLS(tls)
}

// withoutZone says why a virtual host with a wildcard gets no certificate, and what to do;
// why is "" if it gets one. The token of a zone orders certificates for names of the
// zone's organisation alone.
func (p *Provider) withoutZone(owners domains.Owners, organisation, host string, all []string) (why, hint string) {
	zones := map[string]bool{}
	secrets := map[string]bool{}
	for _, name := range append([]string{host}, all...) {
		zone := p.Wildcard.zoneOf(name)
		foreign, owner := owners.Of(name)
		if _, of := owners.Of(zone); of != organisation {
			foreign, owner = zone, of
		}
		option := "provider.wildcard.zones." + quoteAttribute(zone)
		switch {
		case zone == "":
			if domain := domains.Registrable(name); domain != "" && !belowProvider(name, p.HostenvHostname) {
				hint = fmt.Sprintf("if %s is a zone at Cloudflare, set provider.wildcard.zones.%s.apiTokenSecret", domain, quoteAttribute(domain))
			}
			return "Let's Encrypt issues wildcards by DNS-01 only", hint
		case owner != organisation:
			return fmt.Sprintf("%s is %s's, and the token of %s is for names of one organisation", foreign, owner, option),
				fmt.Sprintf("if the domain changed hands, set provider.domains.%s = %s", quoteAttribute(foreign), problem.Nix(organisation))
		}
		zones[zone], secrets[p.Wildcard.Zones[zone]] = true, true
	}
	if len(secrets) > 1 {
		return "its names are in the zones " + problem.Join(slices.Sorted(maps.Keys(zones))) + ", and an order has the token of one",
			"name one token that edits them all in apiTokenSecret of each, or give the names of each zone a virtual host of their own"
	}
	return "", ""
}

// warnWithoutTLS warns of a virtual host that asks for a certificate and gets none.
func (c *computation) warnWithoutTLS(e *placed, host string, v VirtualHost, why, hint string) {
	what := fmt.Sprintf("the wildcard %q", host)
	if !strings.HasPrefix(host, "*.") {
		all := v.CertificateNames(host)
		alias := slices.IndexFunc(all, func(name string) bool { return strings.HasPrefix(name, "*.") })
		what = fmt.Sprintf("%q, with the alias %q,", host, all[alias])
	}
	c.warnings = append(c.warnings, state.Warning{Subject: e.UserName, Message: what + " is served without TLS: " + why, Hint: hint})
}

// uncovered returns the names of a certificate, sorted, without those that a wildcard
// among them covers.
func uncovered(all []string) []string {
	set := slices.Clone(all)
	slices.Sort(set)
	set = slices.Compact(set)
	return slices.DeleteFunc(slices.Clone(set), func(name string) bool {
		_, parent, _ := strings.Cut(name, ".")
		wildcard := "*." + parent
		return name != wildcard && slices.Contains(set, wildcard)
	})
}

// wildcards returns the certificates by DNS-01 of the environments that run, sorted by
// node and name, nil if there are none.
func (c *computation) wildcards() []Wildcard {
	p := &c.inv.Provider
	generated, shared := GeneratedWildcard(p.HostenvHostname)
	var all []Wildcard
	having := map[string]bool{} // nodes with the certificate of generated names
	for _, e := range c.placed {
		if !e.Enable {
			continue
		}
		for host, v := range e.hosts {
			switch v.UseACMEHost {
			case "":
			case shared:
				if !having[e.node] {
					all = append(all, Wildcard{Node: e.node, Certificate: shared, Names: []string{generated, nameOf(e.node, p.HostenvHostname)}, APITokenSecret: p.Wildcard.Generated})
				}
				having[e.node] = true
			default:
				certified := uncovered(v.CertificateNames(host))
				all = append(all, Wildcard{Node: e.node, Certificate: v.UseACMEHost, Names: certified, APITokenSecret: p.Wildcard.Zones[p.Wildcard.zoneOf(certified[0])]})
			}
		}
	}
	slices.SortFunc(all, func(a, b Wildcard) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Certificate, b.Certificate))
	})
	return all
}
