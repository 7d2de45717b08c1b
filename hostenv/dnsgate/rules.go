package dnsgate

import (
	"cmp"
	"errors"
	"slices"
)

// A rule decides about a name, or adds warnings.
type rule struct {
	name   string // unique
	result Result
	reason Reason
	// method is the validation method that the rule is about, HTTP-01 if it is empty.
	method string
	// when is the condition of the rule; nil is always true.
	when func(*subject) bool
	// evidence returns the basis of the verdict, the most important part first. A
	// rule without evidence does not apply.
	evidence func(*subject) []Evidence
	// warns replaces all fields above but the name: the rule does not decide, and
	// the verdict of a later rule gets its warnings.
	warns func(*subject) []string
}

// applies returns the evidence of a rule that decides about s, and none if it
// does not.
func (r *rule) applies(s *subject) []Evidence {
	if method := cmp.Or(r.method, byHTTP); method != either && method != s.method() {
		return nil
	}
	if r.when != nil && !r.when(s) {
		return nil
	}
	return r.evidence(s)
}

// either marks rules for both methods.
const either = "either"

// rules are tried in their order; the first that applies decides. So each rule
// relies on those before it: a-mismatch, for example, is reached only if the facts
// show no way to the node. The passes are last, after the rules that prevent a pass.
//
// docs/dnsgate.md explains the reasons, in the order of their first rule.
var rules = []rule{
	// The name.
	{name: "too-many-names", method: either, result: Fail, reason: ReasonTooManyNames, evidence: (*subject).sawInvalid, when: func(s *subject) bool { return s.tooMany }},
	{name: "wildcard", result: Fail, reason: ReasonWildcard, evidence: (*subject).sawInvalid, when: func(s *subject) bool { return errors.Is(s.invalid, errWildcard) }},
	{name: "invalid-name", method: either, result: Fail, reason: ReasonNameInvalid, evidence: (*subject).sawInvalid, when: func(s *subject) bool { return s.invalid != nil }},
	{name: "node-without-address", result: Unknown, reason: ReasonNodeUnresolved, evidence: (*subject).nodeLookups, when: func(s *subject) bool { return len(s.node.all()) == 0 }},

	{name: "resolver-behind", warns: resolverBehind},

	// The answers of the resolver, or of all name servers if they differ. A server may
	// fail for one family only; if the other has an address, Let's Encrypt uses that.
	{name: "bogus", method: either, result: Fail, reason: ReasonDNSSECBogus, evidence: (*subject).lookups, when: func(s *subject) bool { return bogus(s.facts.A) && bogus(s.facts.AAAA) }},
	{name: "bogus-in-part", result: Fail, reason: ReasonDNSSECBogus, evidence: (*subject).lookups, when: func(s *subject) bool {
		return s.hasNoAddress() && (bogus(s.facts.A) && clean(s.facts.AAAA) || clean(s.facts.A) && bogus(s.facts.AAAA))
	}},
	{name: "address-beside-cname", result: Unknown, reason: ReasonContradiction, evidence: (*subject).sawBesideCNAME, when: func(s *subject) bool { return slices.ContainsFunc(s.facts.Servers, besideCNAME) }},
	{name: "no-address-known", result: Unknown, reason: ReasonLookupFailed, evidence: (*subject).lookups, when: func(s *subject) bool { return s.hasNoAddress() && (!clean(s.facts.A) || !clean(s.facts.AAAA)) }},
	{name: "zone-is-new", result: Unknown, reason: ReasonLookupFailed, evidence: (*subject).sawReferral, when: (*subject).hasNoAddress},
	{name: "no-address-contradiction", result: Unknown, reason: ReasonContradiction, evidence: (*subject).sawDoubts, when: func(s *subject) bool { return s.hasNoAddress() && s.doubt() == contradiction }},
	{name: "no-address-in-part", result: Unknown, reason: ReasonInPart, evidence: (*subject).sawDoubts, when: func(s *subject) bool { return s.hasNoAddress() && s.doubt() == inPart }},
	{name: "resolver-differs", result: Unknown, reason: ReasonInPart, evidence: func(s *subject) []Evidence { return s.uncertain }},
	{name: "only-reserved", result: Fail, reason: ReasonOnlyReserved, evidence: (*subject).lookups, when: func(s *subject) bool {
		return s.hasNoAddress() && len(s.facts.A.Addresses)+len(s.facts.AAAA.Addresses) > 0
	}},
	{name: "nxdomain", result: Fail, reason: ReasonNXDomain, evidence: (*subject).lookups, when: func(s *subject) bool {
		return s.hasNoAddress() && (s.facts.A.Outcome == OutcomeNXDomain || s.facts.AAAA.Outcome == OutcomeNXDomain)
	}},
	{name: "no-address", result: Fail, reason: ReasonNoAddress, evidence: (*subject).lookups, when: (*subject).hasNoAddress},

	// The name servers of its zone, and of the zones that its CNAMEs lead to.
	{name: "servers-differ-harmlessly", warns: serversDifferHarmlessly},
	{name: "servers-differ-node-unknown", result: Unknown, reason: ReasonNodeUnresolved, evidence: (*subject).nodeLookups, when: func(s *subject) bool { return s.conflict(needsNode) != nil }},
	{name: "servers-differ-aaaa-unknown", result: Unknown, reason: ReasonLookupFailed, evidence: (*subject).sawAAAA, when: func(s *subject) bool { return s.conflict(needsAAAA) != nil }},
	{name: "servers-differ", result: Fail, reason: ReasonInconsistent, evidence: func(s *subject) []Evidence { return s.sawConflict(s.conflict(fatal)) }, when: func(s *subject) bool { return s.conflict(fatal) != nil }},

	// CAA records of the resolver, then those of single servers that forbid. A
	// resolver that follows a CNAME takes the CAA records of its target.
	{name: "caa-bogus", method: either, result: Fail, reason: ReasonDNSSECBogus, evidence: (*subject).sawCAA, when: func(s *subject) bool { return !s.caa.known && bogus(s.caa.at.Lookup) }},
	{name: "caa-unknown", method: either, result: Unknown, reason: ReasonCAALookupFailed, evidence: (*subject).sawCAA, when: func(s *subject) bool { return !s.caa.known }},
	{name: "caa-beside-cname", result: Unknown, reason: ReasonInPart, evidence: (*subject).sawCAA, when: func(s *subject) bool { return s.torn && (s.caa.critical || s.caa.permission == forbidden) }},
	{name: "caa-contradiction", result: Unknown, reason: ReasonContradiction, evidence: (*subject).sawCAA, when: func(s *subject) bool {
		return s.caa.at.Name == s.name && (s.caa.critical || s.caa.permission == forbidden) && slices.ContainsFunc(s.facts.Servers, hidesCNAME)
	}},
	{name: "caa-critical", method: either, result: Fail, reason: ReasonCAACritical, evidence: (*subject).sawCAA, when: func(s *subject) bool { return s.caa.critical }},
	{name: "caa-forbids", method: either, result: Fail, reason: ReasonCAAForbids, evidence: (*subject).sawCAA, when: func(s *subject) bool { return s.caa.permission == forbidden }},
	{name: "caa-account", method: either, result: Unknown, reason: ReasonCAAAccountUnknown, evidence: (*subject).sawCAA, when: func(s *subject) bool { return s.caa.permission == needsAccount }},
	{name: "caa-of-some-beside-cname", result: Unknown, reason: ReasonInPart, evidence: (*subject).sawDenials, when: func(s *subject) bool { return s.torn }},
	{name: "caa-of-some-contradiction", result: Unknown, reason: ReasonContradiction, evidence: (*subject).sawDenials, when: func(s *subject) bool { return slices.ContainsFunc(s.facts.Servers, hidesCNAME) }},
	{name: "caa-of-some", result: Fail, reason: ReasonInconsistent, evidence: (*subject).sawDenials},

	// The addresses, and where they lead as far as that is known.
	{name: "proxied", result: Unknown, reason: ReasonProxied, evidence: (*subject).sawRoute, when: func(s *subject) bool { return s.route.proxied && s.route.way != leadsToNode }},
	{name: "route-needs-node", result: Unknown, reason: ReasonNodeUnresolved, evidence: (*subject).sawRoute, when: func(s *subject) bool { return s.route.lacks == lacksNode }},
	{name: "route-needs-other-family", result: Unknown, reason: ReasonLookupFailed, evidence: (*subject).sawRoute, when: func(s *subject) bool { return s.route.lacks == lacksFamily }},
	{name: "answers-alike", result: Unknown, reason: ReasonAnswersAlike, evidence: (*subject).sawRoute, when: func(s *subject) bool { return s.route.way == leadsAlike }},
	{name: "no-route", result: Unknown, reason: ReasonNoRoute, evidence: (*subject).sawRoute, when: func(s *subject) bool { return s.route.way == leadsUnseen }},
	{name: "forwards-some", result: Unknown, reason: ReasonForwardsSome, evidence: (*subject).sawRoute, when: func(s *subject) bool { return s.route.way == leadsSome }},
	{name: "a-elsewhere", warns: aElsewhere},
	{name: "aaaa-dead-warning", warns: aaaaDead},
	{name: "aaaa-lookup-failed", warns: aaaaLookupFailed},
	{name: "contradiction", result: Unknown, reason: ReasonContradiction, evidence: (*subject).sawDoubts, when: func(s *subject) bool { return s.doubt() == contradiction }},
	{name: "in-part", result: Unknown, reason: ReasonInPart, evidence: (*subject).sawDoubts, when: func(s *subject) bool { return s.doubt() == inPart }},
	{name: "resolver-baseless", result: Unknown, reason: ReasonInPart, evidence: func(s *subject) []Evidence { return s.baseless }},
	{name: "aaaa-mixed", result: Fail, reason: ReasonAAAAMixed, evidence: (*subject).sawRoute, when: func(s *subject) bool { return s.route.way == leadsAway && s.route.six && s.route.mixed }},
	{name: "aaaa-mismatch", result: Fail, reason: ReasonAAAAMismatch, evidence: (*subject).sawRoute, when: func(s *subject) bool { return s.route.way == leadsAway && s.route.six }},
	{name: "a-mixed", result: Fail, reason: ReasonAMixed, evidence: (*subject).sawRoute, when: func(s *subject) bool { return s.route.way == leadsAway && s.route.mixed }},
	{name: "a-mismatch", result: Fail, reason: ReasonAMismatch, evidence: (*subject).sawRoute, when: func(s *subject) bool { return s.route.way == leadsAway }},

	// The name leads to the node through this resolver; another resolver may fail.
	{name: "servers-differ-too-little-known", result: Unknown, reason: ReasonLookupFailed, evidence: (*subject).sawDoubts, when: func(s *subject) bool { return s.doubt() == tooLittleKnown }},
	{name: "zone-without-servers", result: Unknown, reason: ReasonLookupFailed, evidence: (*subject).sawNoServer, when: func(s *subject) bool {
		return s.facts.Zone+string(s.facts.ZoneError) != "" && len(s.facts.Servers) == 0
	}},
	{name: "delegation-lame", result: Unknown, reason: ReasonLookupFailed, evidence: (*subject).sawServers, when: func(s *subject) bool { return isLame(s.facts.Servers) }},
	{name: "resolver-waited", result: Unknown, reason: ReasonLookupFailed, evidence: resolverWaited},
	{name: "silent-over-tcp", result: Unknown, reason: ReasonLookupFailed, evidence: silentOverTCP},
	{name: "silent-about-name", result: Unknown, reason: ReasonLookupFailed, evidence: silentAboutName, when: (*subject).hasCNAMEInZone},
	{name: "silent-about-caa", result: Unknown, reason: ReasonCAALookupFailed, evidence: silentAboutCAA},
	{name: "silent-about-family", result: Unknown, reason: ReasonLookupFailed, evidence: silentAboutFamily, when: func(s *subject) bool { return slices.ContainsFunc(s.facts.Servers, answersAnything) }},

	// A certificate by DNS-01.
	{name: "dns-zone-unknown", method: byDNS, result: Unknown, reason: ReasonLookupFailed, evidence: (*subject).sawNoZone},
	{name: "dns-elsewhere", method: byDNS, result: Unknown, reason: ReasonZoneElsewhere, evidence: (*subject).sawServersElsewhere},
	{name: "dns-at-cloudflare", method: byDNS, result: Pass, reason: ReasonZoneProvable, evidence: (*subject).sawZone},

	{name: "aaaa-match", result: Pass, reason: ReasonAAAAMatch, evidence: (*subject).sawRoute, when: func(s *subject) bool { return s.route.six && len(s.route.outside) == 0 }},
	{name: "aaaa-dead", result: Pass, reason: ReasonAAAADead, evidence: (*subject).sawRoute, when: func(s *subject) bool { return s.route.fallsBack }},
	{name: "a-match", result: Pass, reason: ReasonAMatch, evidence: (*subject).sawRoute, when: func(s *subject) bool { return len(s.route.outside) == 0 }},
	{name: "forwards", result: Pass, reason: ReasonForwardsChallenge, evidence: (*subject).sawRoute, when: func(s *subject) bool { return s.route.way == leadsToNode }},
}
