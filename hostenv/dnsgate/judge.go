package dnsgate

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Judge says whether Let's Encrypt would issue one certificate by HTTP-01, from
// facts alone. One bad name fails the whole certificate: the verdict is that
// of the worst name, and says which one it is.
//
// Nothing is inferred from what could not be looked up: a lookup that failed
// leads to [Unknown], or leaves the verdict to the other facts, and never by
// itself to [Fail]. The two exceptions are statements about the zone and not
// about a resolver: signatures that do not hold, and CNAMEs in a loop.
//
// The verdict does not depend on the order of addresses, records or servers.
func Judge(facts *Facts, request Request) Verdict {
	names := certificateNames(request)
	if len(names) > maxNames {
		return Verdict{
			Result: Fail, Reason: ReasonTooManyNames, Name: request.Host,
			Evidence: []Evidence{{Name: request.Host, Type: "name", Saw: fmt.Sprintf("%d names", len(names))}},
			Fix:      fmt.Sprintf("spread the names of %s over several virtual hosts, with %d each at most", request.Host, maxNames),
		}
	}
	var worst Verdict
	var warnings []string
	for i, name := range names {
		v := judgeName(facts, request, name)
		warnings = append(warnings, v.Warnings...)
		if i == 0 || worse(v, worst) {
			worst = v
		}
	}
	slices.Sort(warnings)
	worst.Warnings = slices.Compact(warnings)
	return worst
}

// certificateNames are the names of a request in the order in which they are
// judged: the host first, then by name.
func certificateNames(request Request) []string {
	names := slices.Clone(request.Names)
	if len(names) == 0 {
		names = []string{request.Host}
	}
	rank := func(name string) int {
		if name == request.Host {
			return 0
		}
		return 1
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(rank(a)-rank(b), strings.Compare(a, b)) })
	return slices.Compact(names)
}

// worse reports whether a is worse than b: a failure than what is unknown,
// that than a pass; of two failures the one that time alone does not mend.
func worse(a, b Verdict) bool { return severity(a) > severity(b) }

func severity(v Verdict) int {
	switch {
	case v.Result == Fail && !v.Retryable:
		return 3
	case v.Result == Fail:
		return 2
	case v.Result == Unknown:
		return 1
	}
	return 0
}

// trial is the judging of one name.
type trial struct {
	Request
	name   string // as facts are recorded
	facts  *NameFacts
	node   published
	nodeOf *NodeFacts

	v4, v6   addresses // usable
	evidence []Evidence
	warnings []string
	doubts   []doubt
}

// judgeName goes through the rules; the first that applies decides.
func judgeName(facts *Facts, request Request, spelling string) Verdict {
	name, err := QueryName(spelling)
	t := &trial{Request: request, name: name}
	if err != nil { // 1 and 2
		t.name = spelling
		t.saw("name", "", err.Error())
		if errors.Is(err, errWildcard) {
			return t.verdict(Fail, ReasonWildcard)
		}
		return t.verdict(Fail, ReasonNameInvalid)
	}
	t.lookUp(facts)
	for _, rule := range []func() (Verdict, bool){
		t.nodeUnresolved, // 3
		t.signatures,     // 4
		t.noAddress,      // 5, 6
		t.inconsistent,   // 7
		t.authorization,  // 8, 9, 10
		t.authorizedBySome,
		t.proxied,  // 16, before 12 and 13: it needs all addresses, AAAA too
		t.version6, // 11, 12, 13
	} {
		if v, decided := rule(); decided {
			return t.sure(v)
		}
	}
	return t.sure(t.version4()) // 14, 15, 17
}

// sure returns the verdict, unless it is a pass that other resolvers may not
// come to.
func (t *trial) sure(v Verdict) Verdict {
	if v.Result == Pass {
		if v, unsure := t.doubted(); unsure {
			return v
		}
		if v, unsure := t.unanswered(); unsure {
			return v
		}
	}
	return v
}

func (t *trial) lookUp(facts *Facts) {
	if facts != nil {
		t.facts = facts.Names[t.name]
		t.nodeOf = facts.Nodes[t.Node]
	}
	if t.facts == nil {
		t.facts = &NameFacts{}
	}
	if t.facts.Name != t.name {
		own := *t.facts
		own.Name = t.name
		t.facts = &own
	}
	t.node = publishedBy(t.nodeOf)
	t.v4 = parse(t.facts.A.Addresses).usable()
	t.v6 = parse(t.facts.AAAA.Addresses).usable()
}

func (t *trial) verdict(result Result, reason Reason) Verdict {
	v := Verdict{
		Result: result, Reason: reason, Name: t.name,
		Retryable: result == Unknown || reason == ReasonInconsistent,
		Evidence:  t.evidence, Warnings: t.warnings,
	}
	if result != Pass {
		v.Fix = t.fix(reason)
	}
	return v
}

func (t *trial) saw(kind, server, saw string) {
	t.evidence = append(t.evidence, Evidence{Name: t.name, Type: kind, Server: server, Saw: saw})
}

func (t *trial) sawOf(name, kind, server, saw string) {
	t.evidence = append(t.evidence, Evidence{Name: name, Type: kind, Server: server, Saw: saw})
}

func (t *trial) sawLookup(kind string, l Lookup) { t.saw(kind, l.Server, describe(l)) }

func (t *trial) warn(format string, args ...any) {
	t.warnings = append(t.warnings, t.name+": "+fmt.Sprintf(format, args...))
}

// sawNode adds what the node has, for whatever compares with it.
func (t *trial) sawNode() {
	t.evidence = append(t.evidence, Evidence{Name: t.Node, Type: "node", Saw: cmp.Or(t.node.all().String(), "no address")})
}

func (t *trial) nodeUnresolved() (Verdict, bool) {
	if len(t.node.all()) > 0 {
		return Verdict{}, false
	}
	return t.nodeUnknown(), true
}

func (t *trial) nodeUnknown() Verdict {
	if t.nodeOf != nil {
		t.evidence = append(t.evidence,
			Evidence{Name: t.Node, Type: "A", Saw: describe(t.nodeOf.A)},
			Evidence{Name: t.Node, Type: "AAAA", Saw: describe(t.nodeOf.AAAA)})
	} else {
		t.evidence = append(t.evidence, Evidence{Name: t.Node, Type: "node", Saw: "not looked up"})
	}
	return t.verdict(Unknown, ReasonNodeUnresolved)
}

func (t *trial) signatures() (Verdict, bool) {
	if !bogus(t.facts.A) || !bogus(t.facts.AAAA) {
		return Verdict{}, false
	}
	t.sawLookup("A", t.facts.A)
	t.sawLookup("AAAA", t.facts.AAAA)
	return t.verdict(Fail, ReasonDNSSECBogus), true
}

func (t *trial) noAddress() (Verdict, bool) {
	if len(t.v4)+len(t.v6) > 0 {
		return Verdict{}, false
	}
	a, aaaa := t.facts.A, t.facts.AAAA
	t.sawLookup("A", a)
	t.sawLookup("AAAA", aaaa)
	switch {
	case !clean(a) || !clean(aaaa):
		return t.verdict(Unknown, ReasonLookupFailed), true
	case len(a.Addresses)+len(aaaa.Addresses) > 0:
		return t.failAddresses(ReasonOnlyReserved), true
	case a.Outcome == OutcomeNXDomain || aaaa.Outcome == OutcomeNXDomain:
		return t.failAddresses(ReasonNXDomain), true
	default:
		return t.failAddresses(ReasonNoAddress), true
	}
}

func (t *trial) authorization() (Verdict, bool) {
	records, at, ok := relevantCAA(t.facts)
	if !ok {
		t.evidence = append(t.evidence, Evidence{Name: at.Name, Type: "CAA", Server: at.Lookup.Server, Saw: describe(at.Lookup)})
		return t.verdict(Unknown, ReasonCAALookupFailed), true
	}
	if len(records) == 0 {
		return Verdict{}, false
	}
	told := Evidence{Name: at.Name, Type: "CAA", Server: at.Lookup.Server, Saw: describe(at.Lookup)}
	set := readCAA(records)
	if len(set.critical) > 0 || permits(set.issue, t.AccountURI) == forbidden {
		if disagreement(viewsOf(t.facts.Servers)) == "CNAME" {
			t.evidence = append(t.evidence, told)
			return t.verdict(Unknown, ReasonInPart), true // as in authorizedBySome
		}
	}
	if len(set.critical) > 0 {
		t.evidence = append(t.evidence, told)
		return t.verdict(Fail, ReasonCAACritical), true
	}
	switch permits(set.issue, t.AccountURI) {
	case forbidden:
		t.evidence = append(t.evidence, told)
		return t.verdict(Fail, ReasonCAAForbids), true
	case needsAccount:
		t.evidence = append(t.evidence, told)
		return t.verdict(Unknown, ReasonCAAAccountUnknown), true
	case permitted:
	}
	return Verdict{}, false
}

// proxied tells names that lie wholly behind a reverse proxy: it may forward
// the challenge to the node or not, and DNS does not say.
func (t *trial) proxied() (Verdict, bool) {
	all := slices.Concat(t.v4, t.v6)
	behind := func(a netip.Addr) bool { return within(a, t.Proxies) }
	if len(all.in(t.node.all())) > 0 || len(all.filter(behind)) < len(all) {
		return Verdict{}, false
	}
	t.sawAddresses()
	asked := t.v6
	if len(asked) == 0 {
		asked = t.v4
	}
	if t.leads(asked, nil) == leadsToNode {
		return t.verdict(Pass, ReasonForwardsChallenge), true
	}
	return t.verdict(Unknown, ReasonProxied), true
}

func (t *trial) sawAddresses() {
	if t.facts.AAAA.Failed() || len(t.v6) > 0 {
		t.sawLookup("AAAA", t.facts.AAAA)
	}
	t.sawLookup("A", t.facts.A)
	t.sawNode()
}

// version6 compares the AAAA records: Let's Encrypt tries IPv6 first, and IPv4
// only where nobody answers there.
func (t *trial) version6() (Verdict, bool) {
	outside := t.v6.outside(t.node.v6)
	switch {
	case len(t.v6) == 0:
		return Verdict{}, false
	case len(outside) == 0:
		t.sawAddresses()
		if len(t.v4.outside(t.node.v4)) > 0 && t.node.v4Known {
			t.warn("A is %s and not the node's: visitors without IPv6 go elsewhere", t.v4)
		}
		return t.verdict(Pass, ReasonAAAAMatch), true
	case !t.node.v6Known:
		return t.nodeUnknown(), true // the node may well have these addresses
	}
	t.sawAddresses()
	for _, a := range outside {
		if dial, dialled := t.dials()[a]; dialled {
			t.saw("dial", a.String(), string(dial))
		}
	}
	dead := outside.filter(func(a netip.Addr) bool { return t.dead(addresses{a}) })
	living := t.v6.outside(dead)
	way := t.leads(living, t.node.v6)
	if len(dead) > 0 {
		switch {
		case len(living) > 0 && way == leadsAway:
		case len(t.v4) == 0 && !clean(t.facts.A):
			return t.verdict(Unknown, ReasonLookupFailed), true
		case !t.node.v4Known:
			return t.nodeUnknown(), true
		case len(living) == 0:
			way = t.leads(t.v4, t.node.v4)
		default:
			way = min(way, t.leads(t.v4, t.node.v4)) // A is asked where a dead one is
		}
	}
	switch way {
	case leadsToNode:
		if len(dead) > 0 {
			t.warn("nothing answers at %s: remove the AAAA record, it slows every visitor with IPv6", dead)
		}
		if living.allIn(t.node.v6) && (len(dead) == 0 || t.v4.allIn(t.node.v4)) {
			return t.verdict(Pass, ReasonAAAADead), true
		}
		return t.verdict(Pass, ReasonForwardsChallenge), true
	case leadsAlike:
		return t.verdict(Unknown, ReasonAnswersAlike), true
	case leadsSome:
		return t.verdict(Unknown, ReasonForwardsSome), true
	case leadsAway:
	}
	if len(outside) < len(t.v6) {
		return t.failAddresses(ReasonAAAAMixed), true
	}
	return t.failAddresses(ReasonAAAAMismatch), true
}

// unroutable are IPv6 blocks that no registry of reserved addresses has and no
// connection can be made to: multicast and site-local (RFC 4291, RFC 3879).
var unroutable = prefixes("ff00::/8", "fec0::/10")

// dead reports whether nothing answers at any of these addresses: every one was
// dialled and refuses or times out, or cannot be dialled by anybody. That this
// machine has no route says nothing.
func (t *trial) dead(list addresses) bool {
	dials := t.dials()
	for _, a := range list {
		if dial := dials[a]; dial != DialRefused && dial != DialTimeout && !within(a, unroutable) {
			return false
		}
	}
	return true
}

func (t *trial) dials() map[netip.Addr]Dial {
	dials := map[netip.Addr]Dial{}
	if t.facts.Live == nil {
		return dials
	}
	for text, dial := range t.facts.Live.Dials {
		if a, err := netip.ParseAddr(text); err == nil {
			dials[a] = dial
		}
	}
	return dials
}

func (t *trial) version4() Verdict {
	outside := t.v4.outside(t.node.v4)
	if len(outside) > 0 && !t.node.v4Known {
		return t.nodeUnknown()
	}
	t.sawAddresses()
	way := t.leads(t.v4, t.node.v4)
	switch {
	case len(outside) == 0:
		if t.facts.AAAA.Failed() {
			t.warn("the AAAA lookup fails (%s): Let's Encrypt goes by A", describe(t.facts.AAAA))
		}
		return t.verdict(Pass, ReasonAMatch)
	case way == leadsToNode:
		return t.verdict(Pass, ReasonForwardsChallenge)
	case way == leadsAlike:
		return t.verdict(Unknown, ReasonAnswersAlike)
	case way == leadsSome:
		return t.verdict(Unknown, ReasonForwardsSome)
	case !clean(t.facts.AAAA):
		return t.verdict(Unknown, ReasonLookupFailed) // the AAAA record may be right, and counts first
	case len(outside) < len(t.v4):
		return t.failAddresses(ReasonAMixed)
	default:
		return t.failAddresses(ReasonAMismatch)
	}
}

// failAddresses is a failure about where the name points. If the zone's own
// servers say better by now, waiting mends it.
func (t *trial) failAddresses(reason Reason) Verdict {
	if reason == ReasonNXDomain || reason == ReasonNoAddress || reason == ReasonOnlyReserved {
		own := *t // these come before it is asked whether servers disagree
		own.inconsistent()
		t.doubts = own.doubts
	}
	if len(t.doubts) > 0 && t.doubts[0].reason != ReasonLookupFailed {
		v, _ := t.doubted() // another draw may well lead there
		return v
	}
	stale := t.serversAgreeOnNode()
	if stale {
		t.warn("its name servers say the node's addresses by now, and the resolver still holds the old ones")
	}
	v := t.verdict(Fail, reason)
	v.Retryable = v.Retryable || stale
	return v
}
