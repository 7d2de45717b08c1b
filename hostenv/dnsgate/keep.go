package dnsgate

import (
	"slices"
	"strings"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// Served is what a node serves for a virtual host over TLS: the certificate in use.
type Served struct {
	// Issuer and Subject of the certificate, as text.
	Issuer  string   `json:"issuer,omitempty"`
	Subject string   `json:"subject,omitempty"`
	Names   []string `json:"names,omitempty"`
	// NotBefore and NotAfter are the time of its validity, in RFC 3339.
	NotBefore string `json:"notBefore,omitempty"`
	NotAfter  string `json:"notAfter,omitempty"`
	// HSTS is the header Strict-Transport-Security of the node's answer for /.
	HSTS string `json:"hsts,omitempty"`
	// Error is why the node served no certificate. It proves nothing: the node may be
	// out of reach for this machine alone.
	Error string `json:"error,omitempty"`
}

// preliminary is in the issuer of the certificates that NixOS makes until the first order
// succeeds (nix/modules/certificates.sh knows them by it as well).
const preliminary = "minica root ca"

// SelfSigned reports whether no CA issued the certificate, as far as its fields show.
func (s *Served) SelfSigned() bool {
	return s.Issuer == "" || s.Issuer == s.Subject || strings.Contains(s.Issuer, preliminary)
}

// Has reports whether a name, in the spelling of [Facts], is one of the certificate's.
func (s *Served) Has(name string) bool {
	_, parent, _ := strings.Cut(name, ".")
	return slices.ContainsFunc(s.Names, func(of string) bool {
		return strings.EqualFold(of, name) || strings.EqualFold(of, "*."+parent)
	})
}

// validUntil returns the end of the validity of the certificate that a host has on its
// node: the zero time if it has none. Known is false if that cannot be found out.
//
// What the node serves decides, whether it is better or worse than what the plan says. If
// no look at the node succeeded, the last look counts. Without one, it is a certificate of
// the time since which the node orders it, if the gate's last verdict was a pass: such an
// order succeeded as far as the gate knows. A later renewal may be valid for longer.
func (p Policy) validUntil(c Certificate, old *plan.GateEntry) (until time.Time, known bool) {
	if s := p.Served[c.Host]; s != nil && s.Error == "" {
		name, err := CertificateName(c.Names[0])
		if until, bad := time.Parse(time.RFC3339, s.NotAfter); err == nil && bad == nil && !s.SelfSigned() && s.Has(name) {
			return until, true
		}
		return time.Time{}, true
	}
	if old == nil || old.Node != c.Node {
		return time.Time{}, false
	}
	if until, err := time.Parse(time.RFC3339, old.KeepUntil); err == nil {
		return until, true
	}
	if ordered, err := time.Parse(time.RFC3339, old.Ordered); err == nil && old.Verdict == string(Pass) {
		return ordered.Add(TermsAt(old.Profile, ordered).Lifetime), true
	}
	return time.Time{}, false
}

// keep decides about a certificate that is on, and fails. It stays on as long as the one
// on the node is valid, if browsers open the host over TLS alone. Until is the end of
// that, in RFC 3339: now if it is not known, and "" if the node has no certificate that
// browsers accept, for then they have no promise either.
func (p Policy) keep(c Certificate, promised bool, old *plan.GateEntry) (until string, on bool) {
	now, err := time.Parse(time.RFC3339, p.Now)
	if !promised || err != nil {
		return "", false
	}
	switch end, known := p.validUntil(c, old); {
	case !known:
		return p.Now, false
	case end.IsZero():
		return "", false
	default:
		return end.UTC().Format(time.RFC3339), end.After(now)
	}
}

// Losing returns the certificates that are on and whose verdict is not a pass: the gate
// has to know what their nodes serve ([Policy].Served).
func Losing(d plan.Document, verdicts map[string]Verdict) []Certificate {
	var all []Certificate
	for _, c := range wanted(d) {
		v, judged := verdicts[c.Host]
		entry, known := entryOf(d, c.Host)
		if !judged || known && !isOn(&entry) {
			continue
		}
		if v.Result == Fail || v.Result == Unknown && entry.KeepUntil != "" {
			all = append(all, c)
		}
	}
	return all
}
