package plan

import (
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/names"
)

// A Wildcard is the certificate that each node orders for all names one label below
// hostenvHostname, by a record in DNS (the challenge DNS-01). Virtual hosts whose names
// are all such names use it, and order none of their own.
type Wildcard struct {
	// Certificate is the certificate's name in security.acme.certs of NixOS, and
	// useACMEHost of the virtual hosts that use it.
	Certificate string `json:"certificate,omitzero"`
	// Domain is the wildcard, such as *.hosting.example.
	Domain string `json:"domain,omitzero"`
	// APITokenSecret is the key in the sops file that holds the token of Cloudflare's API.
	APITokenSecret string `json:"apiTokenSecret,omitzero"`

	Carried Carried `json:",inline"`
}

const (
	// wildcardPrefix makes the name of the certificate: no host name has an underscore,
	// and NixOS names units and folders by it, so it has no asterisk.
	wildcardPrefix = "_wildcard."
	// nodeSuffix makes a name of the node below hostenvHostname, but not one label below:
	// Let's Encrypt refuses a name that the wildcard of the same certificate covers.
	nodeSuffix = ".certificate."
)

// IsWildcardCertificate reports whether a node's certificate is that of
// provider.wildcard, by its name in security.acme.certs.
func IsWildcardCertificate(name string) bool { return strings.HasPrefix(name, wildcardPrefix) }

// wildcard reads provider.wildcard. It returns nil if that is not enabled.
func (r *reader) wildcard(from canonjson.Object, domain string) *Wildcard {
	const where = "provider.wildcard"
	options := r.optionalObject(from, "provider", "wildcard")
	r.options(options, where, "enable", "apiTokenSecret")
	secret := r.text(options, where, "apiTokenSecret", "")
	if !r.boolean(options, where, "enable", false) {
		return nil
	}
	if secret == "" {
		r.remedied(where, "apiTokenSecret", `name the key of the sops file that holds the token, as in "cloudflare/acme_token"`,
			"is not set, and nodes need a token of Cloudflare's API to order the certificate")
	}
	w := WildcardBelow(domain)
	w.APITokenSecret = secret
	return w
}

// WildcardBelow returns the wildcard certificate of a hostenvHostname.
func WildcardBelow(domain string) *Wildcard {
	return &Wildcard{Certificate: wildcardPrefix + domain, Domain: "*." + domain}
}

// nameOf is a name that the node's certificate has beside the wildcard. With it the
// certificates of two nodes have different sets of names: Let's Encrypt issues 5
// certificates of one set in a week.
func (w *Wildcard) nameOf(node string) string {
	return node + nodeSuffix + strings.TrimPrefix(w.Domain, "*.")
}

// check refuses nodes whose name in the certificate is no host name.
func (w *Wildcard) check(r *reader, nodes map[string]*NodeOptions) {
	if w == nil || w.Domain == "*." { // hostenvHostname is missing, or refused
		return
	}
	for node := range nodes {
		if _, err := names.ParseHost(w.nameOf(node)); err != nil {
			r.wrong("provider.wildcard", "", "gives the node %s the name %s, which is refused: %v", quoteAttribute(node), w.nameOf(node), err)
		}
	}
}

// Covers reports whether the certificate has all names.
func (w *Wildcard) Covers(all []string) bool {
	for _, name := range all {
		label, ok := strings.CutSuffix(strings.ToLower(name), w.Domain[1:])
		if !ok || label == "" || strings.ContainsAny(label, ".*") {
			return false
		}
	}
	return true
}

// apply returns a virtual host with the wildcard in place of a certificate of its own,
// or without it if the option no longer covers the host. w may be nil.
func (w *Wildcard) apply(host string, v VirtualHost) VirtualHost {
	tls := v.TLS()
	switch asks := tls.EnableACME || tls.Shared != ""; {
	case !asks:
		return v
	case w != nil && w.Covers(v.CertificateNames(host)):
		tls.EnableACME, tls.Shared = false, w.Certificate
	case tls.Shared != "":
		tls.EnableACME, tls.Shared = true, ""
	default:
		return v
	}
	return v.WithTLS(tls)
}

// An acmeCertificate is an element of security.acme.certs.
type acmeCertificate struct {
	DNSProvider      string   `json:"dnsProvider"`
	Domain           string   `json:"domain"`
	ExtraDomainNames []string `json:"extraDomainNames"`
}

// certificates returns the certificates of a node that are not of one virtual host.
func (w *Wildcard) certificates(node string, hosts map[string]VirtualHost) map[string]acmeCertificate {
	if w == nil {
		return nil
	}
	for _, v := range hosts {
		if v.UseACMEHost == w.Certificate {
			return map[string]acmeCertificate{w.Certificate: {"cloudflare", w.Domain, []string{w.nameOf(node)}}}
		}
	}
	return nil
}
