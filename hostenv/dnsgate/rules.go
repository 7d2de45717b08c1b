package dnsgate

import (
	"errors"
	"fmt"
)

// A rule looks at one name, and either decides or warns.
type rule struct {
	name   string // unique
	result Result
	reason Reason
	// evidence returns what the verdict rests on, the telling part first. Without
	// evidence the rule does not apply.
	evidence func(*subject) []Evidence
	// warns stands in place of result, reason and evidence: the rule does
	// not decide, and its warnings join the verdict of a later rule.
	warns func(*subject) []string
}

// rules are in the order in which they are asked; the first that applies
// decides. So a rule relies on those before it: a-mismatch, for example, is
// reached only if the facts leave no way to the node open. Rules that take a
// pass back stand before the passes, which are last.
//
// docs/dnsgate.md explains the reasons, in the order of their first rule.
var rules = []rule{
	// The name.
	{name: "too-many-names", result: Fail, reason: ReasonTooManyNames, evidence: tooManyNames},
	{name: "wildcard", result: Fail, reason: ReasonWildcard, evidence: wildcard},
	{name: "invalid-name", result: Fail, reason: ReasonNameInvalid, evidence: invalidName},
	{name: "node-without-address", result: Unknown, reason: ReasonNodeUnresolved, evidence: nodeWithoutAddress},

	// What the resolver found.
	{name: "bogus", result: Fail, reason: ReasonDNSSECBogus, evidence: bogusLookups},
	{name: "no-address-known", result: Unknown, reason: ReasonLookupFailed, evidence: noAddressKnown},
	{name: "no-address-contradiction", result: Unknown, reason: ReasonContradiction, evidence: withoutAddress(doubts(contradiction))},
	{name: "no-address-in-part", result: Unknown, reason: ReasonInPart, evidence: withoutAddress(doubts(inPart))},
	{name: "only-reserved", result: Fail, reason: ReasonOnlyReserved, evidence: withoutAddress(onlyReserved)},
	{name: "nxdomain", result: Fail, reason: ReasonNXDomain, evidence: withoutAddress(nxdomain)},
	{name: "no-address", result: Fail, reason: ReasonNoAddress, evidence: withoutAddress((*subject).lookups)},

	// The name servers of its zone, and of the zones that its CNAMEs lead to.
	{name: "servers-differ-harmlessly", warns: serversDifferHarmlessly},
	{name: "servers-differ-node-unknown", result: Unknown, reason: ReasonNodeUnresolved, evidence: serversDifferNodeUnknown},
	{name: "servers-differ-aaaa-unknown", result: Unknown, reason: ReasonLookupFailed, evidence: serversDifferAAAAUnknown},
	{name: "servers-differ", result: Fail, reason: ReasonInconsistent, evidence: serversDiffer},

	// CAA: of the resolver, and then of single servers that forbid.
	{name: "caa-unknown", result: Unknown, reason: ReasonCAALookupFailed, evidence: caaUnknown},
	{name: "caa-beside-cname", result: Unknown, reason: ReasonInPart, evidence: caaBesideCNAME},
	{name: "caa-critical", result: Fail, reason: ReasonCAACritical, evidence: caaCritical},
	{name: "caa-forbids", result: Fail, reason: ReasonCAAForbids, evidence: caaSays(forbidden)},
	{name: "caa-account", result: Unknown, reason: ReasonCAAAccountUnknown, evidence: caaSays(needsAccount)},
	{name: "caa-of-some-beside-cname", result: Unknown, reason: ReasonInPart, evidence: caaOfSomeBesideCNAME},
	{name: "caa-of-some-contradiction", result: Unknown, reason: ReasonContradiction, evidence: caaOfSomeContradiction},
	{name: "caa-of-some", result: Fail, reason: ReasonInconsistent, evidence: caaOfSome},

	// The addresses: where they lead, as far as that is known.
	{name: "proxied", result: Unknown, reason: ReasonProxied, evidence: routes(func(r *route) bool { return r.proxied && r.way != leadsToNode })},
	{name: "route-needs-node", result: Unknown, reason: ReasonNodeUnresolved, evidence: routes(func(r *route) bool { return r.lacks == lacksNode })},
	{name: "route-needs-other-family", result: Unknown, reason: ReasonLookupFailed, evidence: routes(func(r *route) bool { return r.lacks == lacksFamily })},
	{name: "answers-alike", result: Unknown, reason: ReasonAnswersAlike, evidence: routes(func(r *route) bool { return r.way == leadsAlike })},
	{name: "forwards-some", result: Unknown, reason: ReasonForwardsSome, evidence: routes(func(r *route) bool { return r.way == leadsSome })},
	{name: "a-elsewhere", warns: aElsewhere},
	{name: "aaaa-dead-warning", warns: aaaaDead},
	{name: "aaaa-lookup-failed", warns: aaaaLookupFailed},
	{name: "contradiction", result: Unknown, reason: ReasonContradiction, evidence: doubts(contradiction)},
	{name: "in-part", result: Unknown, reason: ReasonInPart, evidence: doubts(inPart)},
	{name: "aaaa-mixed", result: Fail, reason: ReasonAAAAMixed, evidence: routes(func(r *route) bool { return r.way == leadsAway && r.six && r.mixed })},
	{name: "aaaa-mismatch", result: Fail, reason: ReasonAAAAMismatch, evidence: routes(func(r *route) bool { return r.way == leadsAway && r.six })},
	{name: "a-mixed", result: Fail, reason: ReasonAMixed, evidence: routes(func(r *route) bool { return r.way == leadsAway && r.mixed })},
	{name: "a-mismatch", result: Fail, reason: ReasonAMismatch, evidence: routes(func(r *route) bool { return r.way == leadsAway })},

	// The name leads to the node for this resolver; another one may not get there.
	{name: "servers-differ-too-little-known", result: Unknown, reason: ReasonLookupFailed, evidence: doubts(tooLittleKnown)},
	{name: "zone-without-servers", result: Unknown, reason: ReasonLookupFailed, evidence: zoneWithoutServers},
	{name: "resolver-waited", result: Unknown, reason: ReasonLookupFailed, evidence: resolverWaited},
	{name: "silent-over-tcp", result: Unknown, reason: ReasonLookupFailed, evidence: silentOverTCP},
	{name: "silent-about-name", result: Unknown, reason: ReasonLookupFailed, evidence: silentAboutName},
	{name: "silent-about-caa", result: Unknown, reason: ReasonCAALookupFailed, evidence: silentAboutCAA},
	{name: "silent-about-family", result: Unknown, reason: ReasonLookupFailed, evidence: silentAboutFamily},

	{name: "aaaa-match", result: Pass, reason: ReasonAAAAMatch, evidence: routes(func(r *route) bool { return r.six && len(r.outside) == 0 })},
	{name: "aaaa-dead", result: Pass, reason: ReasonAAAADead, evidence: routes(func(r *route) bool { return r.fallsBack })},
	{name: "a-match", result: Pass, reason: ReasonAMatch, evidence: routes(func(r *route) bool { return len(r.outside) == 0 })},
	{name: "forwards", result: Pass, reason: ReasonForwardsChallenge, evidence: routes(func(r *route) bool { return r.way == leadsToNode })},
}

func tooManyNames(s *subject) []Evidence {
	if s.names == 0 {
		return nil
	}
	return []Evidence{s.saw("name", "", fmt.Sprintf("%d names", s.names))}
}

func wildcard(s *subject) []Evidence {
	if !errors.Is(s.invalid, errWildcard) {
		return nil
	}
	return invalidName(s)
}

func invalidName(s *subject) []Evidence {
	if s.invalid == nil {
		return nil
	}
	return []Evidence{s.saw("name", "", s.invalid.Error())}
}

func nodeWithoutAddress(s *subject) []Evidence {
	if len(s.node.all()) > 0 {
		return nil
	}
	return s.nodeLookups()
}

// bogusLookups wants both: a server may fail to answer for one family alone.
func bogusLookups(s *subject) []Evidence {
	if !bogus(s.facts.A) || !bogus(s.facts.AAAA) {
		return nil
	}
	return s.lookups()
}

func noAddressKnown(s *subject) []Evidence {
	if s.hasAddress() || clean(s.facts.A) && clean(s.facts.AAAA) {
		return nil
	}
	return s.lookups()
}

// withoutAddress applies a rule to names without a usable address alone.
func withoutAddress(evidence func(*subject) []Evidence) func(*subject) []Evidence {
	return func(s *subject) []Evidence {
		if s.hasAddress() {
			return nil
		}
		return evidence(s)
	}
}

func onlyReserved(s *subject) []Evidence {
	if len(s.facts.A.Addresses)+len(s.facts.AAAA.Addresses) == 0 {
		return nil
	}
	return s.lookups()
}

func nxdomain(s *subject) []Evidence {
	if s.facts.A.Outcome != OutcomeNXDomain && s.facts.AAAA.Outcome != OutcomeNXDomain {
		return nil
	}
	return s.lookups()
}
