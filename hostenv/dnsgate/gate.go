package dnsgate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// OnUnknown decides about a virtual host that never had a verdict and gets none.
type OnUnknown string

const (
	// OnUnknownDefault keeps existing certificates on, and new ones off.
	OnUnknownDefault OnUnknown = ""
	OnUnknownDisable OnUnknown = "disable"
	OnUnknownKeep    OnUnknown = "keep"
	OnUnknownFail    OnUnknown = "fail"
)

// Policy has the options that turn verdicts into decisions.
type Policy struct {
	OnUnknown OnUnknown
	// AllowFlips turns off any number of certificates at once.
	AllowFlips bool
	// Preview is set if the run would change DNS, and the facts are from before that. New
	// certificates then fail that would pass, and never stop a run.
	Preview bool
	// AllowOrders turns on more certificates than Let's Encrypt's limits allow.
	AllowOrders bool
	// Now is the Since of a new decision, in RFC 3339.
	Now string
	// Deployed reports whether an environment was deployed to its present node. If
	// the gate never ran for a deployed environment, for example because of a filter,
	// its names have certificates already.
	Deployed func(user string) bool
	// Served is what nodes serve, by virtual host, of the certificates of [Losing].
	Served map[string]*Served
}

// Decision is what the gate decides of one certificate.
type Decision struct {
	Certificate
	Verdict Verdict
	On      bool // the certificate is ordered
	Was     bool // it was ordered before this run
	// Kept is set if the last verdict stays, because the new one is unknown.
	Kept bool
	// Withheld is set if the run leaves all certificates of the organisation as they are.
	Withheld bool
	// Since is the time at which the present verdict began.
	Since string

	// HSTS is set if browsers may open the host over TLS alone.
	HSTS bool
	// KeepUntil is set for a host with HSTS that fails, and that had a certificate: it
	// stays on until then, and is out of reach after that. See plan.GateEntry.
	KeepUntil string

	// Fresh is set if the next deploy orders the certificate: it was off, or it goes to
	// another node, or its names or its profile changed.
	Fresh bool

	had     bool // the certificate exists and is on: to turn it off is a flip
	renewed bool // it was on when this run began, on this node or another
}

// Gated is the result of [Gate].
type Gated struct {
	// Plan is the plan with the decisions. It shares unchanged parts with the old plan.
	Plan      plan.Document
	Decisions []Decision // the worst first
	// Withheld are the organisations whose certificates the run leaves as they are,
	// sorted.
	Withheld []Withheld
	// Limits are the limits of Let's Encrypt that orders exceed, or may exceed.
	Limits []Shortage
}

// Gate returns a plan with the decisions that follow from verdicts; it does not change
// d. It decides only about the certificates in verdicts. All others, and virtual hosts
// that ask for no certificate, stay as they are.
//
// Gate turns a certificate that fails off at both places of the plan, unless the host has
// HSTS and the node a certificate that is still valid (GateEntry.KeepUntil), and records in
// dnsGate what the environment asks for. A certificate that passes gets that again. An
// unknown verdict keeps the last decision. New certificates beyond a project's quota
// ([ReasonQuota]) or Let's Encrypt's limits ([ReasonRateLimit]) stay off. The same
// verdicts a second time change nothing.
//
// If it would turn off too many certificates of an organisation, or one has no verdict
// with [OnUnknownFail], all certificates of that organisation stay as they are. If that
// is so for all organisations, Gate returns an error, which is [ErrWithheld]. It returns
// no other.
func Gate(d plan.Document, verdicts map[string]Verdict, policy Policy) (*Gated, error) {
	gate := map[string]plan.GateEntry{}
	out := &Gated{}
	certificates := wanted(d)
	promised := promisesOf(d, policy.Served)
	gated := map[string]bool{} // environments
	for _, c := range certificates {
		_, was := entryOf(d, c.Host)
		gated[c.User] = gated[c.User] || was
	}
	for _, c := range certificates {
		var old *plan.GateEntry
		if entry, was := entryOf(d, c.Host); was {
			old, gate[c.Host] = &entry, entry
		}
		v, judged := verdicts[c.Host]
		if !judged || !isServed(d, c) {
			continue
		}
		had := old == nil && !gated[c.User] && policy.Deployed != nil && policy.Deployed(c.User)
		decision, entry := policy.decide(c, v, old, had, promised.of(c.Host))
		out.Decisions = append(out.Decisions, decision)
		gate[c.Host] = withAsked(entry, c.Asked)
	}
	var all bool
	if out.Withheld, all = policy.brake(d, out.Decisions); all {
		return nil, causes(out.Withheld)
	}
	leave(d, out, gate)
	withholdNew(d, out.Decisions, gate, policy.Now)
	out.Limits = sortShortages(append(failing(certificates, gate), withholdOrders(d, out.Decisions, gate, policy)...))
	changes := orders{}
	for _, decision := range out.Decisions {
		if !decision.Withheld {
			changes.set(decision.Certificate, decision.On)
		}
	}
	d.DNSGate = gate
	out.Plan = d.WithTLS(changes)
	slices.SortStableFunc(out.Decisions, func(a, b Decision) int {
		return cmp.Or(severity(b.Verdict)-severity(a.Verdict), cmp.Compare(a.Node, b.Node), cmp.Compare(a.Host, b.Host))
	})
	return out, nil
}

// decide returns the decision and the plan's entry for it.
func (p Policy) decide(c Certificate, v Verdict, old *plan.GateEntry, had, promised bool) (Decision, plan.GateEntry) {
	// A verdict for another node does not count: the certificate stays there.
	valid := old != nil && old.Node == c.Node
	d := Decision{Certificate: c, Verdict: v, HSTS: promised, Was: old == nil || isOn(old), had: had || valid && isOn(old), renewed: old != nil && isOn(old)}
	switch {
	case v.Result == Pass:
		d.On = true
	case v.Result == Fail && d.had:
		d.KeepUntil, d.On = p.keep(c, promised, old)
	case v.Result == Fail:
		if valid && promised {
			d.KeepUntil = old.KeepUntil // it is out of reach since then
		}
	case valid && old.Verdict != string(Unknown): // the last verdict stays
		d.On, d.Kept, d.KeepUntil = isOn(old), true, old.KeepUntil
		if d.On && old.KeepUntil != "" {
			d.KeepUntil, d.On = p.keep(c, promised, old)
		}
	default:
		d.On = p.unknown(d.had)
	}
	entry := d.entry(p.Now)
	if valid && (d.Kept || isSame(*old, entry)) {
		entry = *old
	}
	if entry.KeepUntil = d.KeepUntil; !d.On {
		entry.Decision = plan.GateOff
	}
	d.Since = entry.Since
	entry, d.Fresh = recorded(entry, old, c, d.On, had, p.Now)
	return d, entry
}

func isOn(e *plan.GateEntry) bool { return e.Decision == plan.GateOn }

// unknown reports whether a certificate without a verdict is on.
func (p Policy) unknown(had bool) bool {
	switch p.OnUnknown {
	case OnUnknownKeep:
		return true
	case OnUnknownDisable:
		return false
	default:
		return had
	}
}

// isSame reports whether an entry is still right. It ignores the evidence, because
// foreign addresses change often, and a change of the plan costs a review.
func isSame(old, next plan.GateEntry) bool {
	return old.Decision == next.Decision && old.Asked.TLS() == next.Asked.TLS() && old.Node == next.Node &&
		old.Verdict == next.Verdict && old.Reason == next.Reason && old.Name == next.Name && old.KeepUntil == next.KeepUntil
}

// over reports whether the certificate of a decision is no longer valid, so that to turn
// it off takes nothing away.
func (p Policy) over(d Decision) bool { return d.KeepUntil != "" && d.KeepUntil < p.Now }

// Available returns [ErrWithheld] if facts do not allow a decision about the
// certificates: the resolver answers no question, or a node has no known address.
func Available(facts *Facts, certificates []Certificate) error {
	if len(certificates) == 0 {
		return nil
	}
	question := QuestionOf(certificates, LiveNever)
	asked, answered := 0, 0
	count := func(lookups ...Lookup) {
		for _, l := range lookups {
			if l.Asked() {
				asked++
			}
			if clean(l) || bogus(l) {
				answered++
			}
		}
	}
	dark := map[string]Lookup{}
	for _, name := range question.Nodes {
		node := facts.Nodes[name]
		if node == nil {
			node = &NodeFacts{}
		}
		count(node.A, node.AAAA)
		if len(publishedBy(node).all()) == 0 {
			dark[name] = node.A
		}
	}
	for _, name := range question.Names {
		if f := facts.Names[name]; f != nil {
			count(f.A, f.AAAA)
		}
	}
	switch {
	case asked > 0 && answered == 0:
		return withhold("check the network of this machine, or name another validating resolver: -resolver=ADDRESS",
			"all %d lookups through %s fail", asked, cmp.Or(facts.Resolver, "the resolver"))
	case len(dark) > 0:
		nodes := slices.Sorted(maps.Keys(dark))
		var saw []string
		for _, name := range nodes {
			saw = append(saw, fmt.Sprintf("%s: %s", name, describe(dark[name])))
		}
		return withhold("publish A or AAAA records for "+strings.Join(nodes, ", ")+
			"; if they are published, check the network of this machine, or name another resolver: -resolver=ADDRESS; to judge the other nodes, use -node",
			"the nodes' own names have no address: %s", strings.Join(saw, "; "))
	}
	return nil
}
