package dnsgate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// OnUnknown says what becomes of a virtual host that has no verdict yet and
// gets none.
type OnUnknown string

const (
	// OnUnknownDefault keeps the certificates that names have, and disables those
	// of new names.
	OnUnknownDefault OnUnknown = ""
	OnUnknownDisable OnUnknown = "disable"
	OnUnknownKeep    OnUnknown = "keep"
	OnUnknownFail    OnUnknown = "fail"
)

// maxFlips is how many of a hundred certificates that are on one run may turn
// off. Fewer than minFlips are no mass.
const maxFlips, minFlips = 30, 2

// Policy is how verdicts become decisions.
type Policy struct {
	OnUnknown  OnUnknown
	AllowFlips bool
	// Now is what a decision that begins has as its since: RFC 3339.
	Now string
	// Deployed tells whether an environment was deployed to its node before. Of
	// one that was never gated, as in a run that was filtered, it tells the names
	// that have certificates from new ones.
	Deployed func(user string) bool
}

// Decision is what the gate decides of one certificate.
type Decision struct {
	Certificate
	Verdict Verdict
	On      bool // the certificate is ordered
	Was     bool // it was before this run
	// Kept says that the verdict is unknown, or a failure that is out of date, and
	// that the last one stays.
	Kept bool
	// Since is when the verdict that decides began.
	Since string

	// Fresh says that it is ordered for the first time, at the next deploy.
	Fresh bool

	had bool // it is on, and was there before this run: to lose it is a flip
}

// Gated is what a gate makes of a plan.
type Gated struct {
	// Plan is the plan with the decisions in it; it shares with the old one what
	// did not change.
	Plan      plan.Document
	Decisions []Decision // the worst first
}

// Gate lays verdicts onto a plan, which it leaves as it is. It decides
// about the certificates in verdicts, those of one run; all others, and the
// virtual hosts that ask for none, stay as they are.
//
// A certificate that fails is turned off at both places of the plan, and
// dnsGate keeps what was asked for; one that passes gets that back. One of which
// nothing is known stays as it was last decided, and so does one that passed and
// of which the resolver only remembers otherwise. The same verdicts a second
// time change nothing.
//
// Its errors all are [ErrWithheld]: too many certificates would be turned off at
// once, or one has no verdict with [OnUnknownFail].
func Gate(d plan.Document, verdicts map[string]Verdict, policy Policy) (*Gated, error) {
	gate := map[string]plan.GateEntry{}
	out := &Gated{}
	changes := orders{}
	certificates := wanted(d)
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
		decision, entry := policy.decide(c, v, old, had)
		decision.Fresh = decision.On && !decision.had
		out.Decisions = append(out.Decisions, decision)
		if entry == nil {
			entry = old
		}
		gate[c.Host] = withAsked(*entry, c.Asked)
		changes.set(c, decision.On)
	}
	d.DNSGate = gate
	out.Plan = d.WithTLS(changes)
	slices.SortStableFunc(out.Decisions, func(a, b Decision) int {
		return cmp.Or(severity(b.Verdict)-severity(a.Verdict), cmp.Compare(a.Node, b.Node), cmp.Compare(a.Host, b.Host))
	})
	if err := policy.check(out.Decisions); err != nil {
		return nil, err
	}
	return out, nil
}

// decide returns the decision, and the entry that is to be written, nil for the
// old one.
func (p Policy) decide(c Certificate, v Verdict, old *plan.GateEntry, had bool) (Decision, *plan.GateEntry) {
	// A verdict for another node is none: the certificate does not move along.
	valid := old != nil && old.Node == c.Node
	d := Decision{Certificate: c, Verdict: v, Was: old == nil || isOn(old), had: had || valid && isOn(old)}
	passed := valid && old.Verdict == string(Pass)
	switch {
	case v.Result == Pass:
		d.On = true
	case v.Result == Fail && (!passed || !v.outOfDate()):
	case valid && old.Verdict != string(Unknown): // the last verdict stays
		d.On, d.Kept, d.Since = isOn(old), true, old.Since
		return d, nil
	default:
		d.On = p.unknown(d.had)
	}
	next := d.entry(p.Now)
	switch {
	case d.On && valid && isOn(old):
		next.Ordered = old.Ordered
	case d.On && !d.had:
		next.Ordered = p.Now
	}
	if valid && isSame(*old, next) {
		d.Since = old.Since
		return d, nil
	}
	d.Since = next.Since
	return d, &next
}

func isOn(e *plan.GateEntry) bool { return e.Decision == plan.GateOn }

// outOfDate reports whether a failure is about what the resolver remembers and
// the zone's servers no longer say. Let's Encrypt asks these, so a pass from
// before stays; but the resolver alone checks signatures, so it makes no pass.
func (v Verdict) outOfDate() bool {
	return v.Result == Fail && v.Retryable && v.Reason != ReasonInconsistent
}

// unknown decides about a certificate without a verdict.
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

// isSame reports whether an entry still holds. Evidence may differ: addresses
// elsewhere come and go, and a plan that changed with them would be reviewed in
// vain.
func isSame(old, next plan.GateEntry) bool {
	return old.Decision == next.Decision && old.Asked.TLS() == next.Asked.TLS() && old.Node == next.Node &&
		old.Verdict == next.Verdict && old.Reason == next.Reason && old.Name == next.Name
}

func (p Policy) check(decisions []Decision) error {
	var flips, unknown []string
	on := 0
	for _, d := range decisions {
		if d.had {
			on++
			if !d.On {
				flips = append(flips, d.Host)
			}
		}
		if d.Verdict.Result == Unknown && !d.Kept {
			unknown = append(unknown, d.Host)
		}
	}
	slices.Sort(flips)
	slices.Sort(unknown)
	if p.OnUnknown == OnUnknownFail && len(unknown) > 0 {
		return errNoVerdict(unknown)
	}
	if !p.AllowFlips && len(flips) >= minFlips && len(flips)*100 > on*maxFlips {
		return errFlips(flips, on)
	}
	return nil
}

// Available refuses facts on which no plan may be changed, with [ErrWithheld]:
// those of a resolver that answers no question, and those that lack the
// addresses of a node of the certificates.
func Available(facts *Facts, certificates []Certificate) error {
	if len(certificates) == 0 {
		return nil
	}
	question := QuestionOf(certificates, false)
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
		return errNoAnswer(facts.Resolver, asked)
	case len(dark) > 0:
		nodes := slices.Sorted(maps.Keys(dark))
		var saw []string
		for _, name := range nodes {
			saw = append(saw, fmt.Sprintf("%s: %s", name, describe(dark[name])))
		}
		return errDarkNodes(nodes, saw)
	}
	return nil
}
