package dnsgate

import (
	"net/netip"
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// Result is the outcome of a verdict.
type Result string

const (
	// Pass: Let's Encrypt would issue the certificate.
	Pass Result = "pass"
	// Fail: Let's Encrypt would refuse it, for a reason in DNS or by its rate limits; or
	// its project had as many new certificates as its quota allows.
	Fail Result = "fail"
	// Unknown: the facts do not decide, and the last decision stays.
	Unknown Result = "unknown"
)

// Reason is the reason of a verdict. Several rules may give the same one. The list is
// open; docs/dnsgate.md has a row for each.
type Reason string

const (
	ReasonTooManyNames      Reason = "too-many-names"
	ReasonWildcard          Reason = "wildcard-needs-dns01"
	ReasonNameInvalid       Reason = "name-invalid"
	ReasonNodeUnresolved    Reason = "node-name-unresolved"
	ReasonDNSSECBogus       Reason = "dnssec-bogus"
	ReasonNXDomain          Reason = "nxdomain"
	ReasonNoAddress         Reason = "no-address"
	ReasonOnlyReserved      Reason = "only-reserved-addresses"
	ReasonLookupFailed      Reason = "lookup-failed"
	ReasonInconsistent      Reason = "ns-inconsistent"
	ReasonCAALookupFailed   Reason = "caa-lookup-failed"
	ReasonCAACritical       Reason = "caa-critical-unknown"
	ReasonCAAForbids        Reason = "caa-forbids"
	ReasonCAAAccountUnknown Reason = "caa-account-unknown"
	ReasonAAAAMatch         Reason = "aaaa-match"
	ReasonAAAAMixed         Reason = "aaaa-mixed"
	ReasonAAAAMismatch      Reason = "aaaa-mismatch"
	ReasonAAAADead          Reason = "aaaa-dead-falls-back-to-a"
	ReasonAMatch            Reason = "a-match"
	ReasonAMixed            Reason = "a-mixed"
	ReasonProxied           Reason = "proxied"
	ReasonAMismatch         Reason = "a-mismatch"
	ReasonForwardsChallenge Reason = "elsewhere-but-forwards-challenge"
	ReasonNoRoute           Reason = "no-route-from-here"
	ReasonForwardsSome      Reason = "elsewhere-forwards-some"
	ReasonAnswersAlike      Reason = "answers-like-the-node"
	ReasonContradiction     Reason = "ns-contradicts-itself"
	ReasonInPart            Reason = "ns-inconsistent-in-part"
	ReasonZoneElsewhere     Reason = "zone-not-at-cloudflare"
	ReasonZoneProvable      Reason = "zone-at-cloudflare"
	// ReasonQuota and ReasonRateLimit are of no rule: [Gate] gives them to certificates
	// that it would turn on.
	ReasonQuota     Reason = "quota"
	ReasonRateLimit Reason = "rate-limit"
)

// Verdict is the result for a certificate, or for one of its names.
type Verdict struct {
	Result Result `json:"result"`
	Reason Reason `json:"reason"`
	// Name is the name that decided: the worst of the certificate.
	Name string `json:"name,omitempty"`
	// Retryable is set if the same request may succeed a little later.
	Retryable bool `json:"retryable,omitempty"`
	// Evidence is the basis of the verdict, the most important part first.
	Evidence []Evidence `json:"evidence,omitempty"`
	// Fix is a sentence: what to change, and to what.
	Fix string `json:"fix,omitempty"`
	// Warnings do not change the result.
	Warnings []string `json:"warnings,omitempty"`
}

// Evidence is one answer or observation.
type Evidence struct {
	Name string `json:"name,omitempty"` // the name asked about
	// Type is the kind of question: A, AAAA, CNAME, CAA, "dial", "probe",
	// "name".
	Type string `json:"type,omitempty"`
	// Server is the server that answered, "" for the validating resolver.
	Server string `json:"server,omitempty"`
	// Saw is the answer as text: addresses, a CAA record as in a zone file,
	// "nxdomain", "timeout". Equal answers give equal texts.
	Saw string `json:"saw"`
}

// Request is a certificate to judge.
type Request struct {
	// Host is the virtual host, which gives the certificate its name.
	Host string
	// Names are the names in the certificate: the virtual host and its serverAliases,
	// in the customer's spelling.
	Names []string
	// DNS is set if the node orders it by DNS-01, which proves names wherever they lead,
	// and not by HTTP-01.
	DNS bool
	// Node is the name in DNS of the node that serves it.
	Node string
	// Profile is the certificate profile, which bounds the number of names; "" for the
	// default one.
	Profile plan.CertificateProfile
	// AccountURI is the node's ACME account, for CAA records that name one. If it is
	// empty and such a record decides, the verdict is unknown.
	AccountURI string
	// Proxies are the ranges of reverse proxies, such as Cloudflare's, that hide the
	// host behind them.
	Proxies []netip.Prefix
}

// PointsElsewhere reports whether the verdict is a failure that a CNAME from the name
// to its node would fix.
func (v Verdict) PointsElsewhere() bool {
	return v.Result == Fail && slices.Contains([]Reason{
		ReasonNXDomain, ReasonNoAddress, ReasonOnlyReserved, ReasonAMismatch, ReasonAMixed, ReasonAAAAMismatch, ReasonAAAAMixed,
	}, v.Reason)
}
